# Stages `segmenter` and `predictions`: a network that labels the pixels of new images.


rule train_segmenter:
    input:
        **ask.index("segmenter"),
        labels=ask.training_labels("segmenter", "labels"),
        masks=ask.masks_of("segmenter"),
        initial=ask.starting_weights("segmenter"),
        fully_connected=ask.upstream_if_any("segmenter", "fully_connected", "weights.safetensors"),
    output:
        weights=f"{FOLDER}/segmenter/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/segmenter/{{artifact}}/training.csv",
    log:
        ask.log("train_segmenter/{artifact}"),
    benchmark:
        ask.benchmark("train_segmenter/{artifact}")
    priority: 40  # long jobs first, so that none runs alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("train_segmenter")
    resources:
        **ask.resources("train_segmenter"),
    params:
        identity=ask.identity("segmenter"),
        initialisation=ask.initialisation("segmenter"),
    script:
        "../workflow_scripts/train_segmenter.py"


rule predict:
    input:
        **ask.index("predictions"),
        segmenter=ask.upstream("predictions", "segmenter", "weights.safetensors"),
    output:
        labels=f"{FOLDER}/predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        ask.log("predict/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("predict/{artifact}.{shard}-of-{shards}")
    wildcard_constraints:
        artifact=ask.names("predictions", lambda parameters: not parameters["keep_probabilities"]),
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("predict")
    resources:
        **ask.resources("predict"),
    params:
        identity=ask.identity("predictions"),
    script:
        "../workflow_scripts/predict.py"


# The same work with one more output, which a rule cannot have for only some artifacts.
use rule predict as predict_with_probabilities with:
    output:
        labels=f"{FOLDER}/predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
        probabilities=f"{FOLDER}/predictions/{{artifact}}/probabilities/{{shard}}-of-{{shards}}.h5",
    wildcard_constraints:
        artifact=ask.names("predictions", lambda parameters: parameters["keep_probabilities"]),
    threads: ask.threads("predict_with_probabilities")
    resources:
        **ask.resources("predict_with_probabilities"),
