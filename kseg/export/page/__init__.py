"""A model as a web page: a static folder that any host serves and any current browser runs."""
