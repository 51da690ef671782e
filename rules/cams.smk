# Stage `cams`: for each image and class, a map of the evidence for the class.


rule generate_cams:
    input:
        **ask.index("cams"),
        classifier=ask.upstream("cams", "classifier", "weights.safetensors"),
        # Must exist before the maps, but does not change them: a newer verdict does not draw them again.
        verdict=ancient(ask.upstream("cams", "classifier", "verdict.json")),
    output:
        shard=f"{FOLDER}/cams/{{artifact}}/shards/{{shard}}-of-{{shards}}.h5",
    log:
        ask.log("generate_cams/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("generate_cams/{artifact}.{shard}-of-{shards}")
    wildcard_constraints:
        artifact=ask.names("cams", lambda parameters: "balance_classes" not in parameters),
    priority: 50  # long jobs first, so that none runs alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("generate_cams")
    resources:
        **ask.resources("generate_cams"),
    params:
        identity=ask.identity("cams"),
    script:
        "../workflow_scripts/generate_cams.py"


# These two: `balance_classes` in `cams`.
rule measure_classes:
    input:
        drawn=ask.upstream_shards("cams", "drawn"),
    output:
        powers=f"{FOLDER}/cams/{{artifact}}/powers.json",
    log:
        ask.log("measure_classes/{artifact}"),
    benchmark:
        ask.benchmark("measure_classes/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("measure_classes")
    resources:
        **ask.resources("measure_classes"),
    params:
        identity=ask.identity("cams"),
    script:
        "../workflow_scripts/measure_classes.py"


rule balance_classes:
    input:
        **ask.index("cams"),
        drawn=ask.upstream_shard("cams", "drawn"),
        powers=f"{FOLDER}/cams/{{artifact}}/powers.json",
    output:
        shard=f"{FOLDER}/cams/{{artifact}}/shards/{{shard}}-of-{{shards}}.h5",
    log:
        ask.log("balance_classes/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("balance_classes/{artifact}.{shard}-of-{shards}")
    wildcard_constraints:
        artifact=ask.names("cams", lambda parameters: "balance_classes" in parameters),
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("balance_classes")
    resources:
        **ask.resources("balance_classes"),
    params:
        identity=ask.identity("cams"),
    script:
        "../workflow_scripts/balance_classes.py"


# Only for the report: no map depends on these two.
rule record_erasing:
    input:
        **ask.index("erasing"),
        classifier=ask.upstream("erasing", "classifier", "weights.safetensors"),
    output:
        erasing=f"{FOLDER}/erasing/{{artifact}}/erasing.h5",
    log:
        ask.log("record_erasing/{artifact}"),
    benchmark:
        ask.benchmark("record_erasing/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("record_erasing")
    resources:
        **ask.resources("record_erasing"),
    params:
        identity=ask.identity("erasing"),
    script:
        "../workflow_scripts/record_erasing.py"


rule record_climb:
    input:
        **ask.index("climb"),
        classifier=ask.upstream("climb", "classifier", "weights.safetensors"),
        verdict=ancient(ask.upstream("climb", "classifier", "verdict.json")),
    output:
        climb=f"{FOLDER}/climb/{{artifact}}/climb.h5",
    log:
        ask.log("record_climb/{artifact}"),
    benchmark:
        ask.benchmark("record_climb/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("record_climb")
    resources:
        **ask.resources("record_climb"),
    params:
        identity=ask.identity("climb"),
    script:
        "../workflow_scripts/record_climb.py"
