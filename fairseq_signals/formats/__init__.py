"""Files of every format to the leads of a `Record`: one file a format."""
