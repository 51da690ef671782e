# The archive that the PASCAL VOC server scores: label maps of test images, which have neither labels nor masks.


rule index_test_images:
    input:
        raw=raw_inputs(RAW.inputs((*SPLITS, TEST))),
    output:
        index=f"{FOLDER}/test_images/{{artifact}}/index.csv",
        classes=f"{FOLDER}/test_images/{{artifact}}/classes.json",
    log:
        f"{FOLDER}/logs/index_test_images/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/index_test_images/{{artifact}}.tsv"
    priority: 100  # a wrong list is told before anything is trained
    conda:
        "../envs/wsss.yaml"
    threads: asks("index_test_images", "threads")
    resources:
        mem_mb=asks("index_test_images", "mem_mb"),
        runtime=asks("index_test_images", "runtime"),
    params:
        identity=identity("test_images"),
        root=lambda wildcards: raw_root(),
    script:
        "../workflow_scripts/index_test_images.py"


# The same work on other images.
use rule predict as predict_test with:
    input:
        index=upstream("test_predictions", "dataset", "index.csv"),
        classes=upstream("test_predictions", "dataset", "classes.json"),
        segmenter=upstream("test_predictions", "segmenter", "weights.safetensors"),
    output:
        labels=f"{FOLDER}/test_predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        f"{FOLDER}/logs/predict_test/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/predict_test/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        artifact=one_of([artifact.name for artifact in plan.artifacts("test_predictions")]),
    threads: asks("predict_test", "threads")
    resources:
        mem_mb=asks("predict_test", "mem_mb"),
        runtime=asks("predict_test", "runtime"),
        gpu=asks("predict_test", "gpu"),
    params:
        identity=identity("test_predictions"),


rule make_voc_submission:
    input:
        labels=upstream_shards("voc_submission", "predictions", "labels", ".csv"),
        index=upstream("voc_submission", "dataset", "index.csv"),
        classes=upstream("voc_submission", "dataset", "classes.json"),
    output:
        archive=f"{FOLDER}/voc_submission/{{artifact}}/results.tgz",
    log:
        f"{FOLDER}/logs/make_voc_submission/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/make_voc_submission/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("make_voc_submission", "threads")
    resources:
        mem_mb=asks("make_voc_submission", "mem_mb"),
        runtime=asks("make_voc_submission", "runtime"),
    params:
        identity=identity("voc_submission"),
    script:
        "../workflow_scripts/make_voc_submission.py"
