# Stages `backbone`, `fully_connected` and `classifier`: a trunk, VGG-16's further layers, and a network that has learned
# which classes an image shows.


rule prepare_backbone:
    input:
        without_traceback(ask.backbone_file),
    output:
        weights=f"{FOLDER}/backbone/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/backbone/{{artifact}}/training.csv",
    log:
        ask.log("prepare_backbone/{artifact}"),
    benchmark:
        ask.benchmark("prepare_backbone/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("prepare_backbone")
    resources:
        **ask.resources("prepare_backbone"),
    params:
        identity=ask.identity("backbone"),
    script:
        "../workflow_scripts/prepare_backbone.py"


rule prepare_fully_connected:
    output:
        weights=f"{FOLDER}/fully_connected/{{artifact}}/weights.safetensors",
    log:
        ask.log("prepare_fully_connected/{artifact}"),
    benchmark:
        ask.benchmark("prepare_fully_connected/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("prepare_fully_connected")
    resources:
        **ask.resources("prepare_fully_connected"),
    params:
        identity=ask.identity("fully_connected"),
    script:
        "../workflow_scripts/prepare_fully_connected.py"


rule train_classifier:
    input:
        **ask.index("classifier"),
        backbone=ask.upstream_if_any("classifier", "backbone", "weights.safetensors"),
        classifier=ask.starting_weights("classifier"),
        ordinary=ask.upstream_if_any("classifier", "ordinary", "weights.safetensors"),
        texts=ask.text_features,
    output:
        weights=f"{FOLDER}/classifier/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/classifier/{{artifact}}/training.csv",
    log:
        ask.log("train_classifier/{artifact}"),
    benchmark:
        ask.benchmark("train_classifier/{artifact}")
    priority: 90  # the longest chains begin here
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("train_classifier")
    resources:
        **ask.resources("train_classifier"),
    params:
        identity=ask.identity("classifier"),
    script:
        "../workflow_scripts/train_classifier.py"


# Uses only image-level labels of the validation images; nothing that is trained or drawn reads its outputs.
rule score_classifier:
    input:
        index=ask.upstream("classifier", "dataset", "index.csv"),
        classes=ask.upstream("classifier", "dataset", "classes.json"),
        classifier=f"{FOLDER}/classifier/{{artifact}}/weights.safetensors",
    output:
        scores=reported(
            f"{FOLDER}/classifier/{{artifact}}/scores.csv",
            "classifier_scores",
            "Scores",
            "classifier",
            artifact="{artifact}",
        ),
        verdict=f"{FOLDER}/classifier/{{artifact}}/verdict.json",
    log:
        ask.log("score_classifier/classifier.{artifact}"),
    benchmark:
        ask.benchmark("score_classifier/classifier.{artifact}")
    priority: 100  # maps wait for it
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("score_classifier")
    resources:
        **ask.resources("score_classifier"),
    params:
        identity=ask.identity("classifier"),
        variant=ask.variant("classifier"),
        initialisation=ask.initialisation("classifier"),
        dataset_report=ask.plan.dataset.path("dataset_report.html"),
        curve=f"{FOLDER}/classifier/{{artifact}}/training.csv",
    script:
        "../workflow_scripts/score_classifier.py"
