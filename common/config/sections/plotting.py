"""`plotting`: which plotter makes the plots, with which keys and options; with the sections of packages."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.config.sections.base import Section, each_once
from common.config.sections.plotter_options import (
    BladebitOptions,
    ChiaOptions,
    ChiaposOptions,
    MadmaxOptions,
    PlotterType,
    Xchplot2Options,
)
from common.config.sections.plotter_packages import (
    FAULTS,
    BrokenPackage,
    PlotterOptions,
    cause,
    load,
    package_of,
    packaged_names,
    try_out,
)
from common.model.text import one_line


@cache
def _with_packaged(name: str, options: type[PlotterOptions]) -> type[Plotting]:
    """`Plotting` with the section of a packaged plotter, which has the same place and rules as our own."""
    needed = any(field.is_required() for field in options.model_fields.values())
    default: Any = ... if needed else options.model_validate({})
    section: dict[str, Any] = {name: (options, default)}
    return create_model("Plotting", __base__=Plotting, **section)


Gpu = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class Plotting(Section):
    """Which plotter makes the plots, with which keys and options. Only the options of `type` are used."""

    type: PlotterType | str = Field(
        PlotterType.CHIA,
        description="chia, chiapos, madmax, bladebit, xchplot2, or the plotter of another installed package.",
    )
    farmer_pk: str | None = Field(
        None,
        description="Your farmer public key (`chia keys show`). madmax, bladebit and xchplot2 need it.",
        examples=["8bb28d9d...96 hexadecimal digits"],
    )
    pool_contract_address: str | None = Field(
        None,
        description="Contract address of your plot NFT (`chia plotnft show`), for plots that can join a "
        "pool.",
        examples=["xch1..."],
    )
    pool_pk: str | None = Field(
        None,
        description="Your pool public key, for plots that never join a pool. Set only one of the two.",
        examples=["94a0ba2f...96 hexadecimal digits"],
    )
    gpus: Annotated[tuple[Gpu, ...], AfterValidator(each_once), Field(max_length=64)] = Field(
        (),
        description="GPUs for plotters that use one, as nvidia-smi numbers or names them; a number alone is "
        "how many there are. Each job gets one of them for itself. Absent: the plotter's own options choose.",
        examples=[["0", "1"]],
    )
    jobs_per_gpu: int = Field(1, ge=1, le=64, description="Jobs on each of `gpus` at a time.", examples=[2])
    chia: ChiaOptions = Field(ChiaOptions(), description="`chia plots create`: the official plotter.")
    chiapos: ChiaposOptions = Field(
        ChiaposOptions(),
        description="`chia plotters chiapos`: the same for any k, for tests with small plots.",
    )
    madmax: MadmaxOptions = Field(MadmaxOptions(), description="madMAx's chia_plot.")
    bladebit: BladebitOptions = Field(BladebitOptions(), description="Bladebit: in RAM, on disk, on a GPU.")
    xchplot2: Xchplot2Options = Field(
        Xchplot2Options(), description="xchplot2: plots of the new proof of space on GPUs."
    )

    @field_validator("gpus", mode="before")
    @classmethod
    def _numbered(cls, value: Any) -> Any:
        """Read 2 as 0 and 1, and numbers in a list as names."""
        if isinstance(value, int) and not isinstance(value, bool):
            return [str(number) for number in range(min(value, 65))]
        if isinstance(value, list | tuple):
            return [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value]
        return value

    @field_validator("type", mode="plain")
    @classmethod
    def _is_known(cls, value: Any) -> PlotterType | str:
        if isinstance(value, str):
            if value in _OUR_TYPES:
                return PlotterType(value)
            if value in _packaged_names():
                return value
        known = ", ".join((*_OUR_TYPES, *_packaged_names()))
        raise PydanticCustomError(
            "enum", "is none of {expected}{why}", {"expected": known, "why": _why_unknown(value)}
        )

    @model_validator(mode="wrap")
    @classmethod
    def _packaged(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Any:
        """Read the section of a packaged plotter by that package's model, if it is the chosen one. Sections
        of other packaged plotters are ignored: to check them, their packages would have to be loaded."""
        if cls is not Plotting or not isinstance(data, dict):
            return handler(data)
        chosen = data.get("type", PlotterType.CHIA)
        if chosen in _OUR_TYPES and data.keys() <= cls.model_fields.keys():
            return handler(data)
        packaged = _packaged_names()
        kept = {key: value for key, value in data.items() if key == chosen or key not in packaged}
        if chosen not in packaged:
            return handler(kept)
        try:
            plotting = _with_packaged(chosen, load(chosen).options).model_validate(kept, context=info.context)
            try_out(chosen, plotting)
        except ValidationError:
            raise
        except BrokenPackage as error:
            raise PydanticCustomError("broken_package", "{what}", {"what": error.what}) from error
        except FAULTS as error:  # a validator of the package
            what = f"the plotter of package {package_of(chosen)} cannot read its section: {cause(error)}"
            raise PydanticCustomError("broken_package", "{what}", {"what": what}) from error
        return plotting

    @property
    def options(self) -> PlotterOptions:
        """The options of the chosen plotter."""
        options: PlotterOptions = getattr(self, self.type)
        return options


_OUR_TYPES = tuple(kind.value for kind in PlotterType)


def _packaged_names() -> list[str]:
    """Packaged plotters. One whose name is a key of ours is left out, so that it replaces nothing."""
    return [name for name in packaged_names() if _flaw_of_name(name) is None]


def _flaw_of_name(name: str) -> str | None:
    if not name.isidentifier():
        return "is no Python identifier"
    if name in _OUR_TYPES or name in Plotting.model_fields or hasattr(Plotting, name):
        return "is plotman's own"
    return None


def _why_unknown(value: Any) -> str:
    """Say why this type is no packaged plotter, and which packaged plotters are left out."""
    flaws = {name: flaw for name in packaged_names() if (flaw := _flaw_of_name(name))}
    absent = isinstance(value, str) and value not in flaws
    left_out = (
        f"; {name!r} of package {package_of(name)} is left out, as its name {flaw}"
        for name, flaw in flaws.items()
    )
    return one_line("".join([", and no installed package offers it" if absent else "", *left_out]))
