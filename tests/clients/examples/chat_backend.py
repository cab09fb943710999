"""A chat backend: `POST /chat` asks on behalf of whoever is logged in and streams what becomes of it, a JSON line each.

    RELAY_URL=http://127.0.0.1:8080 RELAY_KEY=<a caller's key> uvicorn chat_backend:app --port 9000
"""

import json
import os
from typing import Annotated

import httpx
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

app = FastAPI()
relay = httpx.AsyncClient(
    base_url=os.environ["RELAY_URL"],
    headers={"Authorization": f"Bearer {os.environ['RELAY_KEY']}"},
    timeout=httpx.Timeout(10, read=60),  # a comment comes every 15 s
)


class Message(BaseModel):
    thread: str
    text: str


@app.post("/chat")
async def chat(message: Message, x_user: Annotated[str, Header()]):  # in earnest: from your session
    question = {"prompt": message.text, "conversation": message.thread, "user": {"externalId": x_user}}
    answer = await relay.post("/v1/prompts", json=question)
    prompt = answer.json()
    if answer.is_error:
        return JSONResponse(prompt, answer.status_code)

    async def entries():
        async with relay.stream("GET", prompt["eventsUrl"], params={"until": prompt["promptId"]}) as events:
            async for line in events.aiter_lines():
                entry = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if entry.get("data", {}).get("promptId") == prompt["promptId"]:  # not an earlier question of the thread
                    yield json.dumps({"type": entry["type"], "message": entry["data"].get("message")}) + "\n"

    return StreamingResponse(entries(), media_type="application/x-ndjson")
