# Stages `backbone` and `classifier`: a trunk, and a network that learned which classes an image shows.


rule prepare_backbone:
    input:
        backbone_file,
    output:
        weights=f"{FOLDER}/backbone/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/backbone/{{artifact}}/training.csv",
    log:
        f"{FOLDER}/logs/prepare_backbone/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/prepare_backbone/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("prepare_backbone", "threads")
    resources:
        mem_mb=asks("prepare_backbone", "mem_mb"),
        runtime=asks("prepare_backbone", "runtime"),
        gpu=asks("prepare_backbone", "gpu"),
    params:
        identity=identity("backbone"),
    script:
        "../workflow_scripts/prepare_backbone.py"


rule train_classifier:
    input:
        index=upstream("classifier", "dataset", "index.csv"),
        classes=upstream("classifier", "dataset", "classes.json"),
        images=SHRUNKEN,
        backbone=upstream_if_any("classifier", "backbone", "weights.safetensors"),
        classifier=starting_classifier,
        ordinary=upstream_if_any("classifier", "ordinary", "weights.safetensors"),
    output:
        weights=f"{FOLDER}/classifier/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/classifier/{{artifact}}/training.csv",
    log:
        f"{FOLDER}/logs/train_classifier/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/train_classifier/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("train_classifier", "threads")
    resources:
        mem_mb=asks("train_classifier", "mem_mb"),
        runtime=asks("train_classifier", "runtime"),
        gpu=asks("train_classifier", "gpu"),
    params:
        identity=identity("classifier"),
    script:
        "../workflow_scripts/train_classifier.py"


# From image-level labels of the validation images alone; nothing that is trained or drawn reads what it makes.
rule score_classifier:
    input:
        index=upstream("classifier", "dataset", "index.csv"),
        classes=upstream("classifier", "dataset", "classes.json"),
        classifier=f"{FOLDER}/classifier/{{artifact}}/weights.safetensors",
    output:
        scores=report(
            f"{FOLDER}/classifier/{{artifact}}/scores.csv",
            caption="../captions/classifier_scores.rst",
            category="Scores",
            subcategory="classifier",
            labels={"artifact": "{artifact}"},
        ),
        verdict=f"{FOLDER}/classifier/{{artifact}}/verdict.json",
    log:
        f"{FOLDER}/logs/score_classifier/classifier.{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_classifier/classifier.{{artifact}}.tsv"
    priority: 100  # maps wait for it
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_classifier", "threads")
    resources:
        mem_mb=asks("score_classifier", "mem_mb"),
        runtime=asks("score_classifier", "runtime"),
        gpu=asks("score_classifier", "gpu"),
    params:
        identity=identity("classifier"),
        variant=lambda wildcards: plan.artifact("classifier", wildcards.artifact).variant,
        initialisation=lambda wildcards: initialisation_in_words(
            plan.artifact("classifier", wildcards.artifact)
        ),
        dataset_report=plan.dataset.path("dataset_report.html"),
        curve=lambda wildcards: plan.artifact("classifier", wildcards.artifact).path("training.csv"),
    script:
        "../workflow_scripts/score_classifier.py"
