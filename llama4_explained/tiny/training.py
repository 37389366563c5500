"""A whole training, from the first step to a checkpoint: it shows how far it is, can be stopped, and goes on.

A folder holds an unfinished training in one file, `training.pt`; when it is done, the checkpoint takes its place.
"""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..atomic import written_together
from ..errors import UserError
from ..presets import TINY
from ..processor import Processor
from ..show.training import UNSEEN_PAIRS, save_curves
from .batches import Batches, Layout
from .dialogues import picture_turns, text_turns
from .exam import Examiner, Question, lookup_questions, picture_questions, reading_questions, translation_questions
from .languages import BY_CODE
from .scenes import UNSEEN, Draw, make_scene
from .tiny_tokenizer import learn_tokenizer
from .trainer import Recipe, Trainer

UNFINISHED = "training.pt"
RECORD = "training.json"
CURVES = "training.png"
STEPS_AT_ONCE = 8  # batches that a worker hands over together
WATCHES = 20  # times that accuracy is measured on the way


def tiny_processor() -> Processor:
    """The processor of every tiny model: its tokenizer learns from sentences that are always the same."""
    return Processor(learn_tokenizer(_sentences()), TINY.vision.image_size, tokens_per_tile=TINY.vision.tokens_per_tile)


def _sentences(conversations: int = 4000) -> Iterator[str]:
    for number in range(conversations):
        draw = Draw(number)
        for turn in picture_turns(make_scene(number), draw, 6) + text_turns(draw, 6):
            yield from (turn.question, turn.answer)
    # Often enough to become one token each.
    yield from (str(number) for number in range(10, 100) for _ in range(300))


class Training:
    """One recipe, in one folder, which holds nothing, or an unfinished training of the same recipe.

    Errors: UserError if the file of the unfinished one is damaged.
    """

    def __init__(self, folder: Path, recipe: Recipe, device: torch.device) -> None:
        self.folder, self.recipe, self.device = folder, recipe, device
        self.processor = tiny_processor()
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        state = unfinished(folder)
        first = 0 if state is None else state["trainer"]["step"]
        self._batches = iter(self._loader(first))  # workers first: a process that has used the GPU cannot be copied
        self.trainer = Trainer(recipe, device)
        if state is not None:
            self.trainer.resume(state["trainer"])
            self.history, self.seconds = state["history"], state["seconds"]

    def run(self) -> None:
        """Train to the end, and write the checkpoint.

        Ctrl-C waits for the step to end, keeps what is done, and raises KeyboardInterrupt.
        """
        examiner, questions = Examiner(self.processor), watched_questions(self.recipe.layout)
        trainer, steps, start = self.trainer, self.recipe.steps, time.perf_counter() - self.seconds
        every = math.ceil(steps / WATCHES)
        with tqdm(total=steps, initial=trainer.step, unit="step", disable=None) as bar, _held_interrupts() as held:
            for batch in self._one_by_one():
                losses = trainer.train_on(batch)
                bar.update()
                self.seconds = time.perf_counter() - start
                if trainer.step % every == 0 or trainer.step == steps:
                    self._watch(losses, examiner, questions)
                    bar.set_postfix_str(in_short(self.history[-1]))
                    if bar.disable:  # nobody watches: a line for the log
                        print(f"step {trainer.step} of {steps}: {in_short(self.history[-1])}", flush=True)
                if held and trainer.step < steps:
                    self._keep()
                    raise KeyboardInterrupt
        self._finish()

    def _loader(self, first: int) -> DataLoader:
        layout, on_gpu = self.recipe.layout, self.device.type == "cuda"
        batches = Batches(self.processor, layout, self.recipe.seed, first, self.recipe.steps)
        workers = min(12, max(1, (os.cpu_count() or 2) - 2)) if on_gpu else 0
        return DataLoader(
            batches, batch_size=STEPS_AT_ONCE, num_workers=workers, prefetch_factor=4 if workers else None,
            pin_memory=on_gpu, worker_init_fn=_leave_interrupts,
        )  # fmt: skip

    def _one_by_one(self) -> Iterator[dict[str, Tensor]]:
        for several in self._batches:
            for i in range(len(several["input_ids"])):
                yield {name: tensor[i] for name, tensor in several.items()}

    def _watch(self, losses: dict[str, Tensor], examiner: Examiner, questions: list[Question]) -> None:
        right: dict[str, list[bool]] = {}
        self.trainer.model.eval()
        for answer in examiner.answers(self.trainer.model, questions if "answers" in losses else []):
            right.setdefault(watched_as(answer.question), []).append(answer.is_right)
        self.trainer.model.train()
        self.history.append({
            "step": self.trainer.step, "seconds": round(self.seconds, 1),
            "losses": {name: round(float(loss), 5) for name, loss in losses.items()},
            "right": {task: round(sum(marks) / len(marks), 4) for task, marks in sorted(right.items())},
        })  # fmt: skip

    def _keep(self) -> None:
        state = {"recipe": asdict(self.recipe), "trainer": self.trainer.state(), "history": self.history}
        with written_together(self.folder) as new:
            torch.save(state | {"seconds": self.seconds}, new / UNFINISHED)
        print(f"\nkept {self.trainer.step} of {self.recipe.steps} steps; the same command goes on", flush=True)

    def _finish(self) -> None:
        model = self.trainer.model.eval().to(torch.bfloat16)
        with written_together(self.folder, obsolete=[UNFINISHED]) as new:
            model.save_pretrained(new)
            self.processor.save_pretrained(new)
            (new / RECORD).write_text(json.dumps(self.record(), indent=1) + "\n", encoding="utf-8")
            save_curves(self.history, new / CURVES)

    def record(self) -> dict[str, Any]:
        """What is needed to train the same model again, and how it went."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else platform.machine()
        return {
            "recipe": asdict(self.recipe), "device": device, "torch": torch.__version__,
            "seconds": round(self.seconds, 1), "history": self.history,
        }  # fmt: skip


def unfinished(folder: Path) -> dict[str, Any] | None:
    """What an interrupted training left in a folder, if one did.

    Errors: UserError if its file cannot be read, or is damaged.
    """
    path = folder / UNFINISHED
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # random damage raises seven kinds, OSError among them; what they say is for developers
        raise UserError(f"{path} cannot be read, or is damaged: delete it to begin anew") from error


def watched_questions(layout: Layout) -> list[Question]:
    """Some of every task that a layout trains, in its languages; and half as many about pictures of unseen pairs."""
    languages, tasks = [BY_CODE[code] for code in layout.languages], list(layout.tasks)
    number = max(2, 26 // len(languages))
    questions = picture_questions(number, languages=languages, tasks=tasks)
    questions += picture_questions(number // 2, things=UNSEEN, languages=languages, tasks=tasks)
    if layout.texts:
        questions += lookup_questions(number, layout.most_notes, languages)
        questions += reading_questions(number, languages) + translation_questions(number, languages)
    return questions


def watched_as(question: Question) -> str:
    """Its task, but for pictures of pairs that training never shows, all tasks together."""
    scene = question.scene
    return question.turn.task if scene is None or set(scene.things).isdisjoint(UNSEEN) else UNSEEN_PAIRS


@contextmanager
def _held_interrupts() -> Iterator[list[int]]:
    """Inside, Ctrl-C only adds to the list: a step that stops halfway would be neither done nor not done."""
    held: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    except ValueError:  # not the main thread, which alone gets Ctrl-C
        yield held
        return
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; only the main one should act."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def in_short(entry: dict[str, Any]) -> str:
    """An entry of the history, as the progress bar shows it."""
    losses, right = entry["losses"], entry["right"]
    if not right:  # it learns to see
        return f"loss of image tokens {losses['cells']:.3f}"
    marks = [mark for name, mark in right.items() if name != UNSEEN_PAIRS]
    return (
        f"loss {losses['answers']:.3f}, {sum(marks) / len(marks):.0%} of answers right, "
        f"{right[UNSEEN_PAIRS]:.0%} about unseen pairs"
    )
