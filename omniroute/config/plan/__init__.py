"""What a change of the files would do, before it is made: which objects differ, what that means for the people who call,
and how much it takes away.
"""
