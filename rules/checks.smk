# What a configuration needs on the disk, looked at before anything runs.
HAS_MASKS = bool(plan.config.dataset.generated) or RAW.has_masks()
WHERE_MASKS = " and ".join(map(str, RAW.mask_inputs()))
if "{" in raw_root():
    raise WorkflowError(
        f"dataset.root: {raw_root()} has braces, which Snakemake takes for wildcards; rename the folder"
    )
CONFIGS = [plan.config, *(point.plan.config for point in POINTS.values())]
unfit = dict.fromkeys(fault for c in CONFIGS for fault in unfit_weights(c))
unfit.update(dict.fromkeys(unshared_steps(plan)))
unfit.update(dict.fromkeys(RAW.unfit_settings()))
if unfit:
    raise WorkflowError("\n".join(unfit))
for artifact in plan.artifacts("threshold"):
    maps = artifact.upstream["maps"]
    key = (
        f"cams.{maps.variant}.threshold"
        if maps.stage == "cams"
        else "affinities: pseudo_labels.background.threshold"
    )
    if artifact.parameters["best_on"] == "subset":
        try:
            read_subset(Path(artifact.parameters["subset"]))
        except UserError as error:
            raise WorkflowError(f"{key}: {error}") from None
    if artifact.parameters["best_on"] is not None and not HAS_MASKS and os.path.isdir(raw_root()):
        raise WorkflowError(
            f"{key}: best_on needs masks to choose by, and there are none: {WHERE_MASKS} is missing; "
            "give a number, or 'rule: mean_and_deviation', which needs none"
        )
for name, experiment in [item for c in CONFIGS for item in c.experiments.items()]:
    if experiment.masks_of is not None:
        try:
            read_subset(Path(experiment.masks_of.file))
        except UserError as error:
            raise WorkflowError(f"experiments.{name}.masks_of: {error}") from None
    for key, used in {
        "labels": experiment.labels == "masks",
        "masks_of": experiment.masks_of is not None,
    }.items():
        if used and not HAS_MASKS and os.path.isdir(raw_root()):
            raise WorkflowError(
                f"experiments.{name}.{key}: needs masks, but there are none: {WHERE_MASKS} is missing"
            )
for name in SWEEPS:
    if not HAS_MASKS and os.path.isdir(raw_root()):
        raise WorkflowError(
            f"sweeps.{name}: compares scores of masks, and there are none: {WHERE_MASKS} is missing; "
            "leave it out, or give the points as experiments of their own"
        )
