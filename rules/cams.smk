# Stage `cams`: per image and class, a map of the evidence for the class.


rule generate_cams:
    input:
        index=upstream("cams", "dataset", "index.csv"),
        classes=upstream("cams", "dataset", "classes.json"),
        images=SHRUNKEN,
        classifier=upstream("cams", "classifier", "weights.safetensors"),
        # It comes before the maps and changes none of them, so a newer one is no reason to draw them again.
        verdict=ancient(upstream("cams", "classifier", "verdict.json")),
    output:
        shard=f"{FOLDER}/cams/{{artifact}}/shards/{{shard}}-of-{{shards}}.h5",
    log:
        f"{FOLDER}/logs/generate_cams/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/generate_cams/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    priority: 50  # long jobs first: a late one would run alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: asks("generate_cams", "threads")
    resources:
        mem_mb=asks("generate_cams", "mem_mb"),
        runtime=asks("generate_cams", "runtime"),
        gpu=asks("generate_cams", "gpu"),
    params:
        identity=identity("cams"),
    script:
        "../workflow_scripts/generate_cams.py"


# For the report alone: no map depends on it.
rule record_climb:
    input:
        index=upstream("climb", "dataset", "index.csv"),
        classes=upstream("climb", "dataset", "classes.json"),
        images=SHRUNKEN,
        classifier=upstream("climb", "classifier", "weights.safetensors"),
        verdict=ancient(upstream("climb", "classifier", "verdict.json")),
    output:
        climb=f"{FOLDER}/climb/{{artifact}}/climb.h5",
    log:
        f"{FOLDER}/logs/record_climb/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/record_climb/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("record_climb", "threads")
    resources:
        mem_mb=asks("record_climb", "mem_mb"),
        runtime=asks("record_climb", "runtime"),
        gpu=asks("record_climb", "gpu"),
    params:
        identity=identity("climb"),
    script:
        "../workflow_scripts/record_climb.py"
