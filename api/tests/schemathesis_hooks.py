"""What schemathesis cannot know by itself about the service."""

import schemathesis

# Lines are text: the service splits and checks them.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@schemathesis.hook
def filter_case(context, case):
    """Unknown headers are no mistake in HTTP: proxies add their own."""
    return not any(name.startswith("x-schemathesis-unknown") for name in case.headers or {})
