import pytest

from wsss_core.correction.image_names import ImageNames
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError

IDS = ["one", "a/two", "b/two", "c/three.v2", "deadbeef-four"]
NAMES = ImageNames(DatasetIndex(("cat",), {"image_id": IDS}))


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("one", "one"),
        ("one.jpg", "one"),
        ("images/default/one.PNG", "one"),
        ("C:\\pictures\\a\\two.jpg", "a/two"),
        ("/data/upload/3/1a2b3c4d-one.jpg", "one"),
        ("three.v2.png", "c/three.v2"),
        ("c/three.v2", "c/three.v2"),
        ("deadbeef-four.jpg", "deadbeef-four"),
    ],
)
def test_what_tools_call_an_image(name, image_id):
    assert NAMES.find(name) == image_id


@pytest.mark.parametrize(
    ("name", "said"), [("two.jpg", "may be 'a/two' or 'b/two'"), ("nobody.jpg", "is no image"), ("", "is no image")]
)
def test_no_image_or_several(name, said):
    with pytest.raises(UserError, match=said):
        NAMES.find(name)
