"""An ask's answer as LangChain's callbacks hear a chat model: LangGraph's messages, and tracers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langgraph.config import get_config

from orchestra.core.call import Call, Reply
from orchestra.core.errors import OrchestraError


@dataclass(frozen=True, slots=True)
class Speech:
    """One answer as it is spoken. Each piece comes once, and the whole at the end."""

    id: str
    model: str
    heard_by: AsyncCallbackManagerForLLMRun

    @classmethod
    async def begin(cls, model: str, call: Call) -> Speech | None:
        """The answer of `model` to `call`, in the node under way; None where nobody listens."""
        listeners = get_config().get("callbacks")
        if not isinstance(listeners, AsyncCallbackManager) or not listeners.handlers:
            return None
        said = "\n\n".join(part for part in (call.instruction, call.text) if part)
        asked: list[list[BaseMessage]] = [[HumanMessage(said)]]
        (heard_by,) = await listeners.on_chat_model_start({"name": model}, asked, name=model)
        return cls(f"run-{uuid.uuid4()}", model, heard_by)

    def piece(self, text: str) -> None:
        """A part of the answer, as it is decoded."""
        message = AIMessageChunk(
            content=text, id=self.id, response_metadata={"model_name": self.model}
        )
        chunk = ChatGenerationChunk(message=message)
        self.heard_by.get_sync().on_llm_new_token(text, chunk=chunk)

    async def end(self, answer: Reply | OrchestraError) -> None:
        """The whole answer, or why there is none."""
        if isinstance(answer, OrchestraError):
            await self.heard_by.on_llm_error(answer)
            return
        message = AIMessage(
            content=answer.text, id=self.id, response_metadata={"model_name": self.model}
        )
        await self.heard_by.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))
