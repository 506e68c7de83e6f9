"""What the gateway tells of itself: metrics, traces and logs, all made from the records of requests that are over."""
