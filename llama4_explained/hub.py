"""Where a checkpoint's files are: in a folder, on the Hugging Face hub, or in this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from .errors import UserError

PACKAGED = "tiny"  # the name of the checkpoint that ships in this package
# What a checkpoint needs of its repository. Meta's repositories hold every weight a second time, in subfolders.
WANTED, UNWANTED = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"], ["*/*"]


def local_file(source: str | Path, name: str, revision: str | None = None) -> Path:
    """The path of one file of a checkpoint, downloaded first if `source` is a hub id.

    Errors: UserError if it cannot be had, saying why.
    """
    folder = _local(source)
    if folder is None:
        from huggingface_hub import hf_hub_download

        with _hub_errors(str(source), revision, name):
            return Path(hf_hub_download(str(source), name, revision=revision))
    if not (folder / name).is_file():
        raise UserError(f"{source} has no {name}: is it a checkpoint folder?")
    return folder / name


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a whole checkpoint: weights, configs and tokenizer, downloaded first if `source` is a hub id.

    What an earlier, interrupted download has finished is not fetched again; tokens, caches and offline mode are those
    of `huggingface_hub`.

    Errors: UserError if it cannot be had, saying why.
    """
    folder = _local(source)
    if folder is not None:
        return folder
    from huggingface_hub import constants, snapshot_download

    # Offline by itself is not enough for every version: 1.33 asks the hub for a commit's files all the same.
    offline = constants.HF_HUB_OFFLINE
    with _hub_errors(str(source), revision, "checkpoint"):
        downloaded = snapshot_download(
            str(source),
            revision=revision,
            allow_patterns=WANTED,
            ignore_patterns=UNWANTED,
            local_files_only=offline,
        )
    return Path(downloaded)


def _local(source: str | Path) -> Path | None:
    """The folder that `source` names; None if it can only be a hub id."""
    if str(source) == PACKAGED:
        folder = Path(str(resources.files("llama4_explained"))) / "assets" / PACKAGED
        if not folder.is_dir():
            raise UserError(f"this version has no packaged checkpoint {PACKAGED!r}: give a folder or a hub id")
        return folder
    if not str(source):
        return None
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{source} is a file: give the checkpoint's folder")
    looks_like_path = isinstance(source, Path) or source.startswith((".", "/", "~")) or "\\" in source
    if looks_like_path or str(source).count("/") > 1:
        raise UserError(f"there is no folder {source}; a hub id has the form organisation/name")
    return None


@contextmanager
def _hub_errors(source: str, revision: str | None, wanted: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one line each that says what to do."""
    from huggingface_hub import constants, errors

    http_error = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]  # of the HTTP library that the hub uses
    at = f" at revision {revision!r}" if revision else ""
    try:
        yield
    except errors.HFValidationError:
        raise UserError(f"{source!r} is neither a folder nor a hub id, which has the form organisation/name") from None
    except errors.GatedRepoError:
        raise UserError(
            f"{source} is gated: ask for access at https://huggingface.co/{source}, then log in with `hf auth login` "
            "or set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{source!r} is neither a folder here nor a repository on the hub that you may read: check the name; "
            "for a private one, log in with `hf auth login` or set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{source} has no revision {revision!r} on the hub: give a branch, a tag or a commit") from None
    except errors.LocalEntryNotFoundError as error:
        if constants.HF_HUB_OFFLINE:
            reason, remedy = "HF_HUB_OFFLINE is set", "unset it, or download it first"
        else:
            reason, remedy = "the hub cannot be reached", "check the network, or give a folder"
        raise UserError(f"{source}{at}: no complete {wanted} in the cache, and {reason}: {remedy}") from error
    except errors.EntryNotFoundError:
        raise UserError(f"{source}{at} has no {wanted} on the hub: is it a Llama 4 checkpoint?") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        login = "log in anew with `hf auth login`, or check HF_TOKEN"
        remedy = login if status in (401, 403) else "try again later"
        raise UserError(f"{source}{at}: the hub refuses it with status {status}: {remedy}") from error
    except (http_error, OSError, RuntimeError) as error:  # cut or refused connections, a full disk
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}{at}: the download failed ({reason}): try again, whole files are kept") from error
