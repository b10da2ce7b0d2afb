"""What is checked of every answer besides what schemathesis can check by itself."""

import schemathesis


@schemathesis.check
def success_is_described(ctx, response, case):
    """`default` describes failures. What else is answered is to be named."""
    if response.status_code < 400:
        described = case.operation.definition.raw["responses"]
        assert str(response.status_code) in described, f"{response.status_code} is not described"


@schemathesis.check
def failure_is_a_problem(ctx, response, case):
    """Whatever fails says so twice: in the status, and in the problem."""
    if response.status_code >= 400 and case.method.upper() != "HEAD":
        problem = response.json()
        assert problem["status"] == response.status_code, f"the problem says {problem['status']}"
        urn = "urn:quorate:problem:" + problem["code"].lower().replace("_", "-")
        assert problem["type"] == urn, f"{problem['type']} is the type of {problem['code']}"
