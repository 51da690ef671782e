from wsss_core.config import load_config
from wsss_core.config.differences import all_settings

RAW = {
    "dataset": {"generate": {}},
    "backbones": {"small": {"network": "resnet_small", "output_stride": 8, "weights": "pretext", "pretext": {}}},
    "classifiers": {
        "ordinary": {"objective": "ordinary", "backbone": "small", "optimisation": {"epochs": 3}},
    },
    "cams": {"cam": {"classifier": "ordinary", "method": "multiscale", "threshold": 0.3}},
    "experiments": {"cam": {"cams": "cam"}},
    "runtime": {"shards": 3},
}


def test_settings_are_reported_next_to_their_defaults():
    settings = {setting["key"]: setting for setting in all_settings(load_config(RAW))}
    epochs = settings["classifiers.ordinary.optimisation.epochs"]
    assert epochs["value"] == 3 and epochs["differs"] and epochs["default"] != 3
    batch = settings["classifiers.ordinary.optimisation.batch_size"]
    assert batch["value"] == batch["default"] and not batch["differs"]
    assert settings["classifiers.ordinary.backbone"]["given"]
    assert not any(key.startswith(("runtime", "resources")) for key in settings)


def test_all_reported_values_are_plain():
    plain = (str, int, float, bool, list, dict, type(None))
    for setting in all_settings(load_config(RAW)):
        assert isinstance(setting["value"], plain) and isinstance(setting["default"], plain), setting
