# What people look at: summary, pictures, links; and the list of what nothing refers to any more.


rule summarise:
    input:
        scores=[f for e in plan.experiments.values() for f in score_files(e).values()],
        complete=[f for e in plan.experiments.values() for a in e.values() for f in final_files(a)],
    output:
        table=f"{FOLDER}/summary.csv",
        text=f"{FOLDER}/summary.md",
    log:
        f"{FOLDER}/logs/summarise.log",
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=plan.config.dataset.name,
        experiments={name: described(name) for name in plan.experiments},
    script:
        "../workflow_scripts/summarise.py"


rule draw_overview:
    input:
        index=plan.dataset.path("index.csv"),
        classes=plan.dataset.path("classes.json"),
        masks=plan.masks.path("masks.csv") if HAS_MASKS else [],
        complete=[f for e in plan.experiments.values() for a in e.values() for f in final_files(a)],
    output:
        picture=report(f"{FOLDER}/overview.png", category="Overview"),
    log:
        f"{FOLDER}/logs/draw_overview.log",
    conda:
        "../envs/wsss.yaml"
    params:
        experiments={
            name: {
                "cams": shard_paths(stages["cams"], "shards", ".h5"),
                "pseudo_labels": (
                    shard_paths(stages["pseudo_labels"], "labels", ".csv")
                    if "pseudo_labels" in stages
                    else []
                ),
            }
            for name, stages in plan.experiments.items()
            if "cams" in stages
        },
    script:
        "../workflow_scripts/draw_overview.py"


rule link_experiment:
    input:
        lambda wildcards: [
            f for a in plan.experiments[wildcards.experiment].values() for f in final_files(a)
        ],
    output:
        links=f"{FOLDER}/experiments/{{experiment}}/links.json",
    log:
        f"{FOLDER}/logs/link_experiment/{{experiment}}.log",
    conda:
        "../envs/wsss.yaml"
    params:
        artifacts=lambda wildcards: {
            stage: str(artifact.directory)
            for stage, artifact in plan.experiments[wildcards.experiment].items()
        },
    script:
        "../workflow_scripts/link_experiment.py"


rule prune:
    log:
        f"{FOLDER}/logs/prune.log",
    conda:
        "../envs/wsss.yaml"
    params:
        folder=FOLDER,
        artifacts=[str(artifact.directory) for artifact in plan.artifacts()],
        experiments=list(plan.experiments),
        delete=RUNTIME.prune == "delete",
    script:
        "../workflow_scripts/prune.py"
