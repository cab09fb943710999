"""What a schema cannot say of calls that are to be accepted, done before they go out."""

import uuid

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if case.operation.definition.raw.get("operationId") != "createPrompt" or not isinstance(case.body, dict):
        return
    # A key is for one prompt, and header and field must agree.
    if case.body.get("idempotencyKey") is not None:
        case.body["idempotencyKey"] = str(uuid.uuid4())
        case.headers.pop("Idempotency-Key", None)
    elif "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Somebody whom the simulator knows, so that there are answers too.
    user = case.body.get("user")
    if isinstance(user, dict) and len(case.body.get("prompt", "")) % 2:
        user.pop("userId", None)
        user["externalId"] = "demo-dana"
