"""Implementations that settings choose by name: the package's own, and those that extensions add."""

import importlib.util
from importlib import import_module
from typing import ClassVar, Generic, TypeVar

from wsss_core.errors import UserError

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Implementations by the name that the configuration gives them."""

    of_sections: ClassVar[dict[str, "Registry[object]"]] = {}
    """The registries that have been imported, by the configuration's section that chooses from them."""

    def __init__(self, package: str, section: str | None = None) -> None:
        """Start empty.

        Args:
            package: the package of the own implementations. Each is in a module of its name, which registers it on
                import.
            section: of the configuration; None if another registry serves the section.
        """
        self.package = package
        self.known: dict[str, Thing] = {}
        """What has been registered so far."""
        if section is not None:
            Registry.of_sections[section] = self  # type: ignore[assignment]

    def add(self, name: str, thing: Thing, module: str) -> None:
        """Register an implementation from the module ``module``, in place of an earlier one of this name.

        Raises:
            UserError: the name is that of another module of the package.
        """
        own = f"{self.package}.{name}"
        if module != own and name.isidentifier() and importlib.util.find_spec(own) is not None:
            raise UserError(f"the name '{name}' is the package's own ({own}); choose another")
        self.known[name] = thing

    def find(self, name: str) -> Thing:
        """The implementation of this name.

        Raises:
            KeyError: nothing registers it.
        """
        if name not in self.known:
            import_module(f"{self.package}.{name}")
        return self.known[name]
