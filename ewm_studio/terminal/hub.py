"""`models push` and `models pull`: a model to the Hugging Face Hub, and from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ewm_studio.terminal.flags import Parser, add_place
from ewm_studio.terminal.output import print_json, stdout_to_stderr, summary, write_line

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace

ACTIONS = {
    "push": "Put a model, with the settings and the card that the studio keeps for it, into a repository of the Hub.",
    "pull": "Bring a model from the Hub into the workspace; it then loads by its name.",
}


def action_parser(action: str) -> Parser:
    """The parser of one of the actions."""
    parser = Parser(f"ewm-studio models {action}", f"{ACTIONS[action]} Needs the extra 'hub'.")
    if action == "push":
        parser.add_argument("model", metavar="MODEL", help="A model's file or name, or a run.")
    parser.add_argument("repo", metavar="OWNER/NAME", help="The repository.")
    if action == "push":
        parser.add_argument("--private", action="store_true", help="A repository that is made is not public.")
    else:
        parser.add_argument("--revision", metavar="REV", help="A branch, a tag or a commit; the newest by default.")
        parser.add_argument("--name", metavar="NAME", help="What the model is called here; after its repository else.")
    add_place(parser)
    return parser


def act(action: str, options: Any, workspace: Workspace) -> int:
    """Do one of the actions and print what came of it.

    Raises:
        UserError: bad input, or the Hub lets nobody in. JobError: it failed.
    """
    from ewm_studio.workspace.hub import hub_api, push_model

    if action == "push":
        source = workspace.resolve_model(options.model)

        def tell(names: list[str]) -> None:
            write_line(f"{source} goes to {options.repo}: {', '.join(names)}", error=True)

        with stdout_to_stderr():
            files = push_model(source, options.repo, hub_api(), workspace, options.private, tell)
        result: dict[str, Any] = {"model": str(source), "files": files}
    else:
        with stdout_to_stderr():
            result = _pulled(options, workspace)
    result["url"] = f"https://huggingface.co/{options.repo}"
    if options.json:
        print_json(result)
    else:
        write_line(summary(result))
    return 0


def _pulled(options: Any, workspace: Workspace) -> dict[str, Any]:
    """Bring a model here, and see that it is one of this version."""
    from ewm_studio.errors import UserError
    from ewm_studio.models.assembly import from_description
    from ewm_studio.workspace.hub import hub_api, pull_model
    from ewm_studio.workspace.models import load_model
    from ewm_studio.workspace.workspace import name_problem, pulled_name

    name = options.name if options.name is not None else pulled_name(options.repo)
    if problem := name_problem(name):
        raise UserError(f"--name {name[:80]!r}: {problem}")
    workspace.make()
    folder = workspace.models_folder / name
    path = pull_model(
        options.repo,
        folder,
        hub_api(),
        check=lambda model: from_description(*load_model(model), options.repo),
        revision=options.revision,
    )
    return {"name": name, "model": str(path), "files": sorted(each.name for each in folder.iterdir())}
