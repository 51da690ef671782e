# What tables and archives are told of the experiments.


def points_of(sweep):
    """What the report of a sweep is told of its points."""
    return [
        {
            "name": point.name,
            "values": dict(point.values),
            # What is published is not of these values.
            "described": {
                **described(point.plan.config, point.experiment, point.stages),
                "published": None,
            },
        }
        for point in SWEEPS[sweep]
    ]


def sweep_tables():
    """The tables of all sweeps."""
    return expand(f"{FOLDER}/sweeps/{{sweep}}/table.md", sweep=SWEEPS)


def described(config, experiment, stages):
    """What a table says of an experiment beside its scores, and where those lie."""
    settings = config.experiments[experiment]
    cams = config.cams.get(settings.cams)
    affinity = config.affinities.get(settings.affinity)
    background = affinity.pseudo_labels.background if affinity else None
    seed_threshold = (
        described_threshold(cams.threshold, stages.get("seed_threshold")) if cams else None
    )
    if background and background.times_seed_threshold:
        threshold = {**seed_threshold, "times": background.times_seed_threshold}
    elif background and background.threshold:
        threshold = described_threshold(background.threshold, stages.get("threshold"))
    else:
        threshold = None
    return {
        "labels": labels_in_words(settings, stages.get("segmenter")),
        "seed_threshold": seed_threshold,
        "walk_threshold": threshold,
        "published": settings.published.model_dump() if settings.published else None,
        "classifier": (
            described_classifier(stages["classifier"]) if "classifier" in stages else None
        ),
        "scores": score_files(stages),
    }


def described_artifacts(experiments):
    """All artifacts that experiments need, and what they are made from, each after those."""
    found = {}

    def visit(artifact):
        if str(artifact.directory) in found:
            return
        for needed in artifact.upstream.values():
            visit(needed)
        found[str(artifact.directory)] = {
            "stage": artifact.stage,
            "variant": artifact.variant,
            "directory": str(artifact.directory),
            "upstream": {role: str(a.directory) for role, a in artifact.upstream.items()},
        }

    for stages in experiments.values():
        for artifact in stages.values():
            visit(artifact)
    return list(found.values())


def classifiers_of(experiments):
    """All classifiers that experiments need, also those that others are trained with."""
    directories = [a["directory"] for a in described_artifacts(experiments)]
    found = {str(artifact.directory): artifact for artifact in plan.artifacts("classifier")}
    return [found[directory] for directory in directories if directory in found]


def described_classifier(artifact):
    """What tables and pages are told of a classifier: its name, and the files of its scores and its verdict."""
    scores, verdict = scores_of_classifier(artifact)
    return {"variant": artifact.variant, "scores": scores, "verdict": verdict}


def warn_of_classifiers():
    """Repeat warnings about classifiers at the end: earlier ones are lost among other lines, or in a cluster's log."""
    for artifact in classifiers_of(plan.experiments):
        verdict_json = described_classifier(artifact)["verdict"]
        if os.path.exists(verdict_json) and (verdict := read_verdict(verdict_json)).is_warning:
            print(f"Warning: {verdict_in_text(verdict)}")


def described_maps(experiments):
    """By experiment and stage, the files of the class maps and label maps that a gallery shows."""
    return {
        name: {
            stage: shard_paths(stages[stage], *where)
            for stage, where in {
                "cams": ("shards", ".h5"),
                "refined_seeds": ("labels", ".csv"),
                "pseudo_labels": ("labels", ".csv"),
                "predictions": ("labels", ".csv"),
            }.items()
            if stage in stages
        }
        for name, stages in experiments.items()
    }


def described_climbs():
    """By CAM variant, the file of its recorded climbs and its seed's threshold."""
    return {
        plan.config.experiments[name].cams: {
            "file": climb.path("climb.h5"),
            "threshold": described_threshold(
                plan.config.cams[plan.config.experiments[name].cams].threshold,
                plan.experiments[name].get("seed_threshold"),
            ),
        }
        for name, climb in plan.climbs.items()
    }


def described_threshold(choice, chosen):
    """A threshold and its source: the number itself, or the file of the artifact that chooses it."""
    return {
        "fixed": choice.fixed,
        "file": chosen.path("threshold.json") if chosen else None,
        "source": source_of_threshold(choice),
    }


def voc_submissions(wildcards):
    """The archives for the VOC server of all experiments; says what the configuration lacks for them."""
    try:
        return [artifact.path("results.tgz") for artifact in plan.voc_submissions().values()]
    except UserError as error:
        raise WorkflowError(str(error)) from None
