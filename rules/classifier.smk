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
