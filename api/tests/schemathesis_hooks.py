"""What schemathesis cannot know by itself about the service."""

import schemathesis

# Lines are text: the service splits and checks them.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@schemathesis.hook
def filter_case(context, case):
    """Unknown headers are no mistake in HTTP: proxies add their own."""
    return not any(name.startswith("x-schemathesis-unknown") for name in case.headers or {})


@schemathesis.hook
def before_call(context, case, **kwargs):
    """A poll that waits for a minute for a record is no fault."""
    wait_ms = case.body.get("wait_ms") if isinstance(case.body, dict) else None
    if isinstance(wait_ms, int) and 1000 < wait_ms <= 60000:
        case.body["wait_ms"] = 20
