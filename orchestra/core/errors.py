"""The exception tree: every failure a user can meet, with its cure.

OrchestraError
|-- UsageError              the request itself is wrong; never retried
|   |-- InvalidBudget       negative, NaN, not a number
|   |-- InvalidFleet        a fleet file or card that does not validate
|   |-- InvalidGraph        a graph that cannot be planned or run
|   |-- InvalidRecipe       a recipe with an unknown key or type
|   |   `-- InvalidTaxonomy a file of categories that is damaged, doubled or a circle
|   |-- InvalidTable        unreadable, empty, or without a named column
|   |-- InvalidSchema       a response schema an engine cannot be held to
|   |-- InvalidLabels       labels that nothing can be learnt from
|   |-- InvalidPolicy       a routing policy that is broken or of another version
|   |-- NothingLearnt       calls that are too few, or tell no better: what was known stays
|   |-- InvalidPlan         a saved batch plan that is broken or of another batch
|   |-- InvalidDecision     a person's decision of a row, field or state that there is not
|   |-- EmptyJob            neither text nor photo
|   |-- TextTooLong         a text that no model would read
|   |-- DuplicateId         an id used twice in a table
|   |-- OutputMismatch      an output folder that belongs to another job
|   |-- UnknownModel        a request names no card or graph that is served
|   |-- UnknownThread       no run of that name waits or was left
|   |-- ThreadTaken         somebody else goes on with the run, or has answered it
|   |-- PortTaken           another program listens where ours should
|   |-- ConfirmationNeeded  a paid fleet without a budget
|   `-- MissingExtra        an optional package is not installed
|-- ImageError              one image cannot be used; the job goes on without it
|   |-- ImageNotFound
|   |-- ImageUnavailable    its server cannot give it now; retryable, the next run asks again
|   |-- ImageTruncated
|   |-- ImageTooLarge
|   |-- ImageBlank          a placeholder: white, black, transparent, or a single pixel
|   |-- ImageUnreadable     not an image, or a format that is not read
|   `-- ImageForbidden      an address that may not be fetched
|-- PlanError               no plan can be made
|   |-- NoModel             no card takes the modality
|   |-- PriceUnknown        a budget in dollars, and a model that nobody has priced
|   `-- NoFeasiblePlan      every route breaks a limit
|-- KeyRefused              no key, or one that is wrong, revoked or over
|-- NotAllowed              a key that may not do this
|-- GraphFailed             a node of the user's own raised, in a row of a batch
|-- BudgetExceeded          a reservation does not fit what is left
|-- DeadlineExceeded        the time that was left has passed
|-- Overloaded              it would end after its deadline, behind what waits already
|   `-- QueueFull           the tenant's share of the queue is taken
|-- VisitsExceeded          a node was reached more often than its ask allows
|-- StepsExceeded           the graph took all the steps that LangGraph allows it
|-- ModelError              a model was called and gave no usable answer
|   |-- ModelUnavailable    it does not answer; retryable, pauses a batch
|   |   `-- RateLimited     the calls or tokens of a minute are used up
|   |-- AccessRefused       the key of an endpoint is missing or refused
|   |-- CheckpointInvalid   weights or tokenizer are missing or damaged
|   |-- OutsideDomain       the question is none that the model learnt
|   |-- PromptTooLong       the prompt does not fit the context
|   |-- AnswerTruncated     the answer reached max_tokens before it was complete
|   |   `-- ThoughtTruncated  the model was still thinking when its tokens ran out
|   |-- AnswerInvalid       the answer does not fit the schema
|   |   `-- AnswerAbstained   a result is read as a type that needs a field without an answer
|   |-- AnswerRefused       the model, or a filter before it, refuses to answer
|   `-- Cancelled           the caller no longer wants the answer
|-- BookError               the ledger or journal cannot be used
|   |-- BookLocked          another process writes this book
|   |-- BookFormatMismatch  a book of a format that this release does not read
|   |-- BookUnavailable     its file is gone, damaged or read-only, or its process does not answer
|   `-- DiskFull            nothing more can be written; what was finished is kept
`-- BatchPaused             a model stopped answering; resume continues
"""

from __future__ import annotations

from orchestra.core.usage import Usage


class OrchestraError(Exception):
    """Base of all errors; `retryable` says whether the same call may succeed later.

    `may_have_spent` says that the model may have worked, and billed, before it failed: the book
    settles such a call at its worst case instead of releasing it. `used` is what the server
    reported of a call whose answer cannot be used; that is what it cost. `retry_after_s` is how
    long to wait before asking again, where that is known.
    """

    retryable = False
    may_have_spent = False
    used: Usage | None = None
    retry_after_s: float | None = None

    @property
    def kind(self) -> str:
        """The error's type as it stands in errors.jsonl and in results."""
        return type(self).__name__


class UsageError(OrchestraError):
    """The request is wrong and will stay wrong."""


class InvalidBudget(UsageError, ValueError):
    """A limit is negative, NaN or not a number."""


class InvalidFleet(UsageError):
    """A fleet or card does not validate."""


class InvalidGraph(UsageError):
    """A graph cannot be planned or run."""


class InvalidRecipe(UsageError):
    """A recipe does not validate."""


class InvalidTaxonomy(InvalidRecipe):
    """A file of categories is damaged, names one twice, or has one above itself."""


class InvalidTable(UsageError):
    """A table cannot be read, is empty, or lacks a column."""


class InvalidSchema(UsageError):
    """A response schema holds something an engine cannot be constrained to."""


class InvalidLabels(UsageError):
    """Labels do not fit their texts, or there are too few to learn from."""


class InvalidPolicy(UsageError):
    """A routing policy is broken, of another version, or of other models."""


class NothingLearnt(UsageError):
    """Past calls are too few to fit, or tell nothing better than what is known."""


class InvalidPlan(UsageError):
    """A saved plan of a batch is broken, of another version, or of another batch."""


class InvalidDecision(UsageError):
    """A person's decision is of a row, a field or a state that there is not, or says nothing."""


class EmptyJob(UsageError):
    """A job has neither text nor an image that can be used."""


class TextTooLong(UsageError):
    """A text of a job has more bytes than any model would read."""


class DuplicateId(UsageError):
    """An id occurs a second time in one table."""


class OutputMismatch(UsageError):
    """An output folder holds the results of another job."""


class UnknownModel(UsageError):
    """A request names no card or graph that is served."""


class UnknownThread(UsageError):
    """No run of this name waits or was left."""


class ThreadTaken(UsageError):
    """A run that somebody else goes on with at the moment, or whose question is answered."""


class PortTaken(UsageError):
    """Another program listens at a port that ours was to take."""


class ConfirmationNeeded(UsageError):
    """A paid fleet would run without a budget."""


class MissingExtra(UsageError, ImportError):
    """An optional package is needed and not installed."""


class ImageError(OrchestraError):
    """One image cannot be used; other images and the text go on.

    One that `is_open` tells nothing of the network that its address was looked up in.
    """

    is_open = False


class ImageNotFound(ImageError):
    """No file or resource at the given place."""


class ImageUnavailable(ImageError):
    """The server of an image cannot give it now, and may later.

    `again_s` is how long it asked to be left alone (0 where it did not say); None where asking
    again at once is of no use.
    """

    retryable = True

    def __init__(self, message: str, *, again_s: float | None = 0.0) -> None:
        super().__init__(message)
        self.again_s = again_s


class ImageTruncated(ImageError):
    """The data ends before the image does."""


class ImageTooLarge(ImageError):
    """More bytes or pixels than the limit."""

    is_open = True


class ImageBlank(ImageError):
    """An image that shows nothing: a placeholder, or wholly transparent."""


class ImageUnreadable(ImageError):
    """Not an image, or a format that is not read."""


class ImageForbidden(ImageError):
    """An address that may not be fetched."""


class PlanError(OrchestraError):
    """No plan can be made for a job."""


class NoModel(PlanError):
    """No card of the fleet offers what a node asks for."""


class PriceUnknown(PlanError):
    """A budget in dollars cannot hold calls of a model whose price is unknown."""


class NoFeasiblePlan(PlanError):
    """Each assignment breaks a limit; `tightest` names it, `smallest` what would do."""

    def __init__(
        self,
        message: str,
        *,
        tightest: str = "",
        smallest: dict[str, str] | None = None,
        rejected: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.tightest = tightest
        self.smallest = smallest or {}
        self.rejected = rejected or []


class KeyRefused(OrchestraError):
    """No key came with a request, or none that is valid; `reason` is for the operator alone."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NotAllowed(OrchestraError):
    """A key may not do this; the message says what it may."""


class GraphFailed(OrchestraError):
    """A node of the user's own raised in a row of a batch; the cause is chained."""


class BudgetExceeded(OrchestraError):
    """A reservation does not fit into what is left of a budget, that of `account` where known."""

    account: str | None = None


class DeadlineExceeded(OrchestraError):
    """The time left for a call has passed."""

    may_have_spent = True


class Overloaded(OrchestraError):
    """A server has so much to do that a request would end after its deadline; nothing was begun."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Overloaded):
    """A server's queue is full, and who asks has its share of it."""


class VisitsExceeded(OrchestraError):
    """A node was reached more often than its ask allows."""


class StepsExceeded(OrchestraError):
    """The graph took all the steps that its `recursion_limit` allows."""


class ModelError(OrchestraError):
    """A model was called and gave no usable answer."""


class ModelUnavailable(ModelError):
    """The model does not answer; the same call may succeed later."""

    retryable = True

    def __init__(self, message: str, *, may_have_spent: bool = False) -> None:
        super().__init__(message)
        self.may_have_spent = may_have_spent


class RateLimited(ModelUnavailable):
    """The calls or tokens that a minute allows are used up."""


class AccessRefused(ModelError):
    """The key of an endpoint is missing, refused, or has no credit."""


class CheckpointInvalid(ModelError):
    """Weights, tokenizer or configuration are missing or damaged."""


class OutsideDomain(ModelError):
    """The question is none that the model learnt to answer, so it does not guess."""


class PromptTooLong(ModelError):
    """The prompt and the answer do not fit the model's context."""


class AnswerTruncated(ModelError):
    """The answer reached `max_tokens` before it was complete."""

    may_have_spent = True


class ThoughtTruncated(AnswerTruncated):
    """The model was still thinking when its tokens ran out, so there is no answer at all."""


class AnswerInvalid(ModelError):
    """The answer does not fit the schema."""

    may_have_spent = True


class AnswerAbstained(AnswerInvalid):
    """A result is read as a type that needs what nothing answered; `field` is its place."""

    may_have_spent = False

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class AnswerRefused(ModelError):
    """The model, or a filter at its server, refuses to answer; another model may."""

    def __init__(self, message: str, *, may_have_spent: bool = False) -> None:
        super().__init__(message)
        self.may_have_spent = may_have_spent


class Cancelled(ModelError):
    """The caller no longer wants this answer."""


class BookError(OrchestraError):
    """The book cannot be opened or written."""


class BookLocked(BookError):
    """Another process writes this book."""


class BookFormatMismatch(BookError):
    """The book was written by a release that keeps another format."""


class BookUnavailable(BookError):
    """The book cannot be used now: nothing is begun until it is back."""

    retryable = True


class DiskFull(BookError):
    """The disk is full; everything finished before is kept."""


class BatchPaused(OrchestraError):
    """A model stopped answering; untouched rows wait for a resume."""

    retryable = True


def named(kind: str, message: str) -> OrchestraError:
    """The error that a record of it names, to be raised again; its extra attributes are gone."""
    known = _below(OrchestraError)
    return next((one for one in known if one.__name__ == kind), OrchestraError)(message)


def kinds_under(kind: str) -> list[str]:
    """The name of that type and of all below it in the tree; none where it has no such type."""
    found = (one for one in _below(OrchestraError) if one.__name__ == kind)
    return [below.__name__ for one in found for below in _below(one)]


def _below(kind: type[OrchestraError]) -> list[type[OrchestraError]]:
    """`kind` and every type under it, those nearest to it first."""
    kinds = [kind]
    for known in kinds:
        kinds += known.__subclasses__()
    return kinds
