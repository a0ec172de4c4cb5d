"""The conformance kit: what every component promises, checked in plain words.

A plugin's own test is two lines:

    from i2i_forge.testing import check_plugin

    def test_the_plugin_keeps_its_promises() -> None:
        check_plugin("my_plugin")

`forge plugin check my_plugin` runs the same checks. They need no GPU and no files; networks are built small. What a
component takes is guessed from its parameters' names. Where that is not enough, its plugin says it:

    CHECKS = {"my_decoder": {"options": {"width": 8}, "inputs": lambda network: [torch.randn(2, 32, 16, 16)]}}

`Example` has the keys.
"""

from i2i_forge.testing.kit import check_plugin, run_checks
from i2i_forge.testing.subject import Example, Result

__all__ = ["Example", "Result", "check_plugin", "run_checks"]
