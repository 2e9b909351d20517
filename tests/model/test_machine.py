"""A random machine of edits, runs and faults; at its end the books equal the ledger to the cent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from calqsync.jobs import services as jobs
from integrations.procountor.limits import NoLimit
from integrations.sandbox import start_server
from tests.integrations.sync.conftest import CLIENT, connect
from tests.model.bookkeeping import Bookkeeper, pihla
from tests.model.books import differences
from tests.model.history import History
from tests.model.machines import Machines
from tests.model.world import World, fingerprint

pytestmark = [
    pytest.mark.stack,
    pytest.mark.flaky(reruns=0),  # a script that fails once in many has found something
    pytest.mark.xdist_group("stack"),
    pytest.mark.django_db(transaction=True),
]
WHICH = st.integers(0, 59)
ROW = st.integers(0, 2)
KINDS = st.sampled_from(
    ["REFERENCEPAYMENT_TO_INVOICE", "BANKSTATEMENT_TO_INVOICE", "CREDITLOSS", "ELSEWHERE"]
)
BLOWS = ["kill", "kill", "freeze", "cancel", "forget", "nothing", "kill all"]
FAULTS = [
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 429, "retry_after": "1"},
    {"kind": "status", "status": 503},
    {"kind": "cut"},
    {"kind": "html"},
]


def step(**choices: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule that is written down, and after which everything that always holds is looked at."""

    def decorate(act: Callable[..., None]) -> Any:
        @rule(**choices)
        @functools.wraps(act)
        def taken(self: Imports, **chosen: Any) -> None:
            said = ", ".join(f"{name}={value!r}" for name, value in chosen.items())
            self.script.append(f"{act.__name__}({said})")
            type(self).steps += 1
            with self.careful():
                act(self, **chosen)
                self.check()

        return taken

    return decorate


class Imports(RuleBasedStateMachine):
    """A company that is worked on while it is imported, and everything that may go wrong."""

    world: ClassVar[World]
    stranger: ClassVar[tuple[int, str]]
    steps: ClassVar[int] = 0
    script: ClassVar[list[str]] = []
    failures: ClassVar[list[Exception]] = []

    def __init__(self) -> None:
        super().__init__()
        type(self).script = []
        self.broken = False
        company = pihla()
        self.keeper = Bookkeeper(self.world.sandbox, company)
        self.office = self.world.office(company)
        self.history = History()
        self.counted = 0
        self.last = self.office.look()
        self.note()
        self.office.ask()

    # -- the bookkeeper --------------------------------------------------------------------------

    @step(which=WHICH, days_ago=st.sampled_from([0, 0, 40, 400]))
    def create(self, which: int, days_ago: int) -> None:
        self.keeper.create(which, days_ago)
        self.note()

    @step(which=WHICH, row=ROW, cents=st.integers(1, 90_000))
    def price(self, which: int, row: int, cents: int) -> None:
        self.keeper.price(which, row, cents)
        self.note()

    @step(which=WHICH, more=st.booleans(), row=ROW)
    def change_rows(self, which: int, more: bool, row: int) -> None:
        if more:
            self.keeper.add_row(which, "Kuukausimaksu")
        else:
            self.keeper.drop_row(which, row)
        self.note()

    @step(which=WHICH, other=WHICH)
    def give_to(self, which: int, other: int) -> None:
        self.keeper.give_to(which, other)
        self.note()

    @step(which=WHICH, days=st.integers(0, 200))
    def backdate(self, which: int, days: int) -> None:
        self.keeper.backdate(which, days)
        self.note()

    @step(which=WHICH, how_many=st.integers(2, 40))
    def edit_many(self, which: int, how_many: int) -> None:
        self.keeper.edit_many(which, how_many, f"Erä {len(self.script)}")
        self.note()

    @step(which=WHICH)
    def invalidate(self, which: int) -> None:
        self.keeper.invalidate(which)
        self.note()

    @step(which=WHICH)
    def delete(self, which: int) -> None:
        self.keeper.delete(which)
        self.note()

    @step(which=WHICH)
    def credit(self, which: int) -> None:
        self.keeper.credit(which)
        self.note()

    @step(which=WHICH, share=st.sampled_from([100, 100, 40]), kind=KINDS, silently=st.booleans())
    def pay(self, which: int, share: int, kind: str, silently: bool) -> None:
        self.keeper.pay(which, share, kind=kind, silently=silently)
        self.note()

    @step(which=WHICH, silently=st.booleans())
    def take_back(self, which: int, silently: bool) -> None:
        self.keeper.take_back(which, silently=silently)
        self.note()

    @step(which=WHICH, active=st.sampled_from([None, True, False]))
    def change_partner(self, which: int, active: bool | None) -> None:
        if active is None:
            self.keeper.rename(which, f"Uusi nimi {len(self.script)} Oy")
        else:
            self.keeper.set_active(which, active)

    @step(which=WHICH, act=st.sampled_from(["price", "drop", "return"]))
    def change_product(self, which: int, act: str) -> None:
        if act == "price":
            self.keeper.reprice(which, len(self.script))
        elif act == "drop":
            self.keeper.drop_product(which)
        else:
            self.keeper.return_product()

    @step(which=WHICH, cents=st.integers(-90_000, 90_000), drop=st.booleans())
    def correct_statement(self, which: int, cents: int, drop: bool) -> None:
        self.keeper.correct_statement(which, cents, drop=drop)

    # -- runs ------------------------------------------------------------------------------------

    @step()
    def begin(self) -> None:
        self.office.ask()

    @step()
    def update(self) -> None:
        self.run()

    @step()
    def read_all_again(self) -> None:
        self.office.make_full()
        self.run()

    @step(after=st.integers(0, 20), blow=st.sampled_from(BLOWS))
    def strike(self, after: int, blow: str) -> None:
        """Something happens to a run while it waits for the answer to one of its requests."""
        held = self.world.sandbox.fault(
            "slow", seconds=0.7, after=after, times=1, company=self.keeper.company.id
        )
        self.office.ask()
        self.world.machines.until(lambda: held.hits or self.office.settled())
        self.world.sandbox.app.faults.active.remove(held)
        holder = self.office.holder()
        if blow == "kill" and holder:
            self.world.machines.kill_holder(holder)
        elif blow == "kill all":
            self.world.machines.kill_worker()
        elif blow == "freeze" and holder:
            self.world.machines.freeze(holder)
        elif blow == "cancel":
            self.office.cancel()
        elif blow == "forget":
            self.world.machines.forget()

    @step()
    def thaw(self) -> None:
        self.world.machines.thaw()

    # -- Procountor ------------------------------------------------------------------------------

    @step(fault=st.sampled_from(FAULTS), times=st.integers(1, 5), after=st.integers(0, 12))
    def misbehave(self, fault: dict[str, Any], times: int, after: int) -> None:
        company = self.keeper.company.id
        self.world.sandbox.fault(**fault, times=times, after=after, company=company)

    @step()
    def revoke(self) -> None:
        self.world.sandbox.revoke(self.keeper.company)

    @step()
    def reconnect(self) -> None:
        self.world.sandbox.clear_faults()
        self.office.reconnect()

    @step(minutes=st.sampled_from([0, -10, 10, -120]))
    def set_clock(self, minutes: int) -> None:
        self.keeper.do("clock", ahead=minutes * 60)

    # -- what always holds -----------------------------------------------------------------------

    def note(self) -> None:
        self.history.note(self.keeper.invoices(), now=datetime.now(UTC))

    def check(self) -> None:
        """Nothing untrue is shown, nothing changes before a run ended well, nobody else's rows."""
        look = self.office.look()
        ended = look.ended[self.counted :]
        for _, mode, window_to in ended:
            self.history.run_ended(mode=mode, window_to=window_to)
        if self.counted and not ended:
            assert look.mark == self.last.mark, (
                f"the books changed and no run ended\n{self.office.story()}"
            )
        self.counted, self.last = len(look.ended), look
        assert self.history.objections(look.invoices, whole=bool(look.ended)) == []
        assert self.office.open_runs() <= 1
        if ended:
            assert self.office.miscounted() == []
            connection_id, mark = self.stranger
            assert fingerprint(self.world.truth, connection_id) == mark

    def run(self) -> str:
        """A run to where it ends or waits."""
        self.office.ask()
        try:
            self.world.machines.until(self.office.settled)
        except AssertionError as error:
            error.add_note(self.office.standing())
            raise
        return self.office.state()

    def careful(self) -> Any:
        return _Careful(self)

    def teardown(self) -> None:
        if self.broken:
            return
        with self.careful():
            self.world.sandbox.clear_faults()
            self.world.machines.thaw()
            self.keeper.do("clock", ahead=0)
            self.office.reconnect()
            self.end_well()
            self.end_well()
            self.check()
            self.office.make_full()
            self.end_well()
            self.check()
            assert differences(self.keeper.ledger(), self.office.tables()) == []

    def end_well(self) -> None:
        """A run to a good end; what went wrong before may have left one that still waits."""
        states = []
        while not (states and states[-1] == "complete"):
            assert len(states) < 5, f"{states}\n{self.office.standing()}"
            states.append(self.run())


class _Careful:
    """Puts the machine's script beside whatever fails in it."""

    def __init__(self, machine: Imports) -> None:
        self.machine = machine

    def __enter__(self) -> None:
        assert not self.machine.broken

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            self.machine.broken = True
            Imports.failures.append(error)
            error.add_note("The machine's steps:\n  " + "\n  ".join(self.machine.script))


@pytest.fixture
def world(
    committed_cast: Any, truth: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Processes on this database, and a stranger's books that nobody may touch."""
    company = pihla()
    with start_server([company], control=True, latency=0.002, **CLIENT) as handle:
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        for user in ("integrations.services.identity", "integrations.sync.access"):
            monkeypatch.setattr(f"{user}.limiter", NoLimit)
        monkeypatch.setattr(jobs, "nudge", lambda *args: True)
        cast = SimpleNamespace(tenant=committed_cast.stranger_tenant, alice=committed_cast.mallory)
        stranger = connect(cast, company, handle)
        assert stranger.sync().state == "complete"
        Imports.stranger = (stranger.connection.pk, fingerprint(truth, stranger.connection.pk))
        with Machines(procountor=handle.base_url, client=CLIENT) as machines:
            machines.start()
            monkeypatch.setattr(jobs, "nudge", machines.nudge)
            yield World(machines, handle, truth)


def _play(world: World, *, machines: int, steps: int, least: int) -> None:
    """Machines of up to `steps` steps each, `least` in all: some are cut short by chance."""
    Imports.world, Imports.steps, Imports.failures = world, 0, []
    once = settings(
        max_examples=machines + 1,  # the first one only takes the simplest choice each time
        stateful_step_count=steps,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Imports, settings=once)
    except Exception:
        # Processes take their own time, so the second playing of a script may well succeed.
        if Imports.failures:
            raise Imports.failures[0] from None
        raise
    assert Imports.steps >= least


def test_s0_after_any_edits_runs_and_faults_the_books_equal_the_ledger(world: World) -> None:
    _play(world, machines=5, steps=40, least=200)


@pytest.mark.nightly
def test_s0b_after_two_thousand_steps_the_books_equal_the_ledger(world: World) -> None:
    _play(world, machines=50, steps=50, least=2_000)
