"""What a schema cannot say: of calls that are to be accepted, done before they go out; of keys, looked at afterwards."""

import uuid

import requests
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


ASKED = set()


@schemathesis.check
def keys_are_asked_for(context, response, case):
    """Without a key every such call gets 401, with a wrong one too, until so many came that nobody is heard: 429."""
    operation, request = case.operation, response.request
    right = request.headers.get("Authorization")
    if not operation.definition.raw.get("security") or not right or "token=" in request.url:
        return
    if operation.label in ASKED or not 200 <= response.status_code < 300 or request.method != operation.method.upper():
        return
    ASKED.add(operation.label)
    for key, statuses in ((None, {401}), ("Bearer wrong", {401, 429})):
        headers = {**request.headers, "Authorization": key}
        answer = requests.request(request.method, request.url, headers=headers, data=request.body, timeout=20)
        assert answer.status_code in statuses, f"{answer.status_code} for the key {key}"
        if answer.status_code == 429:
            assert answer.json()["code"] == "too_many_attempts" and "Retry-After" in answer.headers
