"""An agent, on the official Python SDK of MCP, which nobody here wrote: what works through the relay, and what is refused.

    agent.py http://127.0.0.1:8080

There are callers `agents-key` and `others-key` with the scope mcp, and tokens; Omni is tests/clients/omni.rs.
"""

import contextlib
import json
import logging
import sys

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

PATIENCE = 60


def acting(key, user, **more):
    return {"authorization": f"Bearer {key}", "x-relay-user": user, **more}


@contextlib.asynccontextmanager
async def connected(url, mode, headers):
    """A client, and the name of its session once it has one."""
    session = []

    async def heard(response):
        session.extend(response.headers.get_list("mcp-session-id"))

    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE, event_hooks={"response": [heard]}) as http:
        async with Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client:
            yield client, session


async def call(client, tool, arguments=None, told=None):
    result = await client.call_tool(tool, arguments or {}, progress_callback=told)
    assert not result.is_error, result
    return result.content[0].text


async def works(client):
    """Lists, calls, and hears of progress while the call goes on. Answers whom Omni took it for."""
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == {"whoami", "count", "announce", "step"}, tools
    me = json.loads(await call(client, "whoami"))
    assert me["user"] and me["required"] == "true", me

    seen, last = [], anyio.Event()

    async def told(progress, total, message):
        seen.append(progress)
        # The count goes on only once somebody who saw this number says so.
        await call(client, "step")
        if progress == total:
            last.set()

    assert await call(client, "count", {"steps": 3}, told) == "counted to 3"
    await last.wait()
    assert seen == [1, 2, 3], seen
    return me["user"]


async def token(url, key, user):
    async with httpx2.AsyncClient() as http:
        minted = await http.post(f"{url}/v1/users/{user}/mcp-token", headers={"authorization": f"Bearer {key}"})
        return {"authorization": f"Bearer {minted.raise_for_status().json()['token']}"}


async def refused(url, mode, headers):
    let_in = False
    try:
        async with connected(url, mode, headers) as (client, _):
            await client.list_tools()
            let_in = True
    except* MCPError:
        pass
    assert not let_in, f"{mode}: {headers}"


async def main():
    url = sys.argv[1]
    users = set()
    for mode in ["legacy", "2026-07-28", "auto"]:
        async with connected(url, mode, acting("agents-key", "demo-dana")) as (client, session):
            users.add(await works(client))
            assert bool(session) == (mode == "legacy"), session
            print(f"agent: {mode}: spoke {client.protocol_version}, {'in a session' if session else 'without a session'}")
            for key, user in [("agents-key", "emea-anna"), ("others-key", "demo-dana")] if session else []:
                await refused(url, mode, acting(key, user, **{"mcp-session-id": session[0]}))
        async with connected(url, mode, await token(url, "agents-key", "demo-dana")) as (client, _):
            users.add(await works(client))
        for headers in [acting("agents-key", "nobody"), acting("agents-key", ""), acting("wrong-key", "demo-dana")]:
            await refused(url, mode, headers)
    assert len(users) == 1, users
    print("clients: the Python SDK of MCP worked through the relay, by key and by token; wrong users and another's session did not")


# The SDK wants no other answer to the end of a session than 200 or 204; rmcp gives 202.
logging.getLogger("mcp").setLevel(logging.ERROR)
anyio.run(main)
