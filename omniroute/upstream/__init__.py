"""The only package that talks to providers: one module owns TLS, pools, deadlines and limits."""
