# The archive that the PASCAL VOC server scores: label maps of test images, which have neither labels nor masks.


rule index_test_images:
    input:
        raw=ask.raw_inputs(ask.raw.inputs((*SPLITS, TEST))),
    output:
        index=f"{FOLDER}/test_images/{{artifact}}/index.csv",
        classes=f"{FOLDER}/test_images/{{artifact}}/classes.json",
    log:
        ask.log("index_test_images/{artifact}"),
    benchmark:
        ask.benchmark("index_test_images/{artifact}")
    priority: 100  # reports a wrong list before anything is trained
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_test_images")
    resources:
        **ask.resources("index_test_images"),
    params:
        identity=ask.identity("test_images"),
        root=lambda wildcards: ask.raw_root,
    script:
        "../workflow_scripts/index_test_images.py"


# The same work on other images.
use rule predict as predict_test with:
    input:
        index=ask.upstream("test_predictions", "dataset", "index.csv"),
        classes=ask.upstream("test_predictions", "dataset", "classes.json"),
        segmenter=ask.upstream("test_predictions", "segmenter", "weights.safetensors"),
    output:
        labels=f"{FOLDER}/test_predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        ask.log("predict_test/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("predict_test/{artifact}.{shard}-of-{shards}")
    wildcard_constraints:
        artifact=ask.names("test_predictions"),
    threads: ask.threads("predict_test")
    resources:
        **ask.resources("predict_test"),
    params:
        identity=ask.identity("test_predictions"),


rule make_voc_submission:
    input:
        labels=ask.upstream_shards("voc_submission", "predictions"),
        index=ask.upstream("voc_submission", "dataset", "index.csv"),
        classes=ask.upstream("voc_submission", "dataset", "classes.json"),
    output:
        archive=f"{FOLDER}/voc_submission/{{artifact}}/results.tgz",
    log:
        ask.log("make_voc_submission/{artifact}"),
    benchmark:
        ask.benchmark("make_voc_submission/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("make_voc_submission")
    resources:
        **ask.resources("make_voc_submission"),
    params:
        identity=ask.identity("voc_submission"),
    script:
        "../workflow_scripts/make_voc_submission.py"
