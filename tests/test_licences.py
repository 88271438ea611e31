"""Which licences fit an MIT project, and that those of all packages that users install do."""

from __future__ import annotations

import pytest

from tests.support.licences import fits, licence_of, runtime_packages


@pytest.mark.parametrize(
    "licence",
    [
        *("MIT", "Apache-2.0 AND MIT", "BSD License", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", "PSF-2.0"),
        *("MPL-2.0", "Apache-2.0 OR GPL-2.0-only", "ISC License (ISCL)"),
    ],
)
def test_permissive_licences_fit(licence: str) -> None:
    assert fits(licence)


@pytest.mark.parametrize(
    "licence",
    [
        *("GPL-3.0-or-later", "AGPL-3.0-only", "LGPL-2.1-or-later", "MIT AND GPL-2.0-only", "SSPL-1.0", "EUPL-1.2"),
        *("GNU General Public License v3 (GPLv3)", "GNU Lesser General Public License v2 or later (LGPLv2+)"),
        *("Proprietary", "Other/Proprietary License", ""),
    ],
)
def test_copyleft_and_unknown_licences_do_not(licence: str) -> None:
    assert not fits(licence)


def test_every_package_that_users_install_fits() -> None:
    packages = runtime_packages()
    assert {"pydantic", "openai", "numpy"} <= {package.metadata["Name"] for package in packages}
    assert [package.metadata["Name"] for package in packages if not fits(licence_of(package))] == []
