# Stages `refined_seeds`, `affinity_labels`, `affinity`, `walked_cams`, `pseudo_labels`: from class maps to one label per pixel.


rule refine_seeds:
    input:
        index=upstream("refined_seeds", "dataset", "index.csv"),
        classes=upstream("refined_seeds", "dataset", "classes.json"),
        images=SHRUNKEN,
        cams=upstream_shard("refined_seeds", "cams", "shards", ".h5"),
        seed_threshold=upstream_if_any("refined_seeds", "seed_threshold", "threshold.json"),
    output:
        labels=f"{FOLDER}/refined_seeds/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        f"{FOLDER}/logs/refine_seeds/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/refine_seeds/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("refine_seeds", "threads")
    resources:
        mem_mb=asks("refine_seeds", "mem_mb"),
        runtime=asks("refine_seeds", "runtime"),
    params:
        identity=identity("refined_seeds"),
    script:
        "../workflow_scripts/refine_seeds.py"


rule make_affinity_labels:
    input:
        index=upstream("affinity_labels", "dataset", "index.csv"),
        classes=upstream("affinity_labels", "dataset", "classes.json"),
        images=SHRUNKEN,
        cams=upstream_shard("affinity_labels", "cams", "shards", ".h5"),
        seed_threshold=upstream_if_any("affinity_labels", "seed_threshold", "threshold.json"),
    output:
        labels=f"{FOLDER}/affinity_labels/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        f"{FOLDER}/logs/make_affinity_labels/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/make_affinity_labels/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("make_affinity_labels", "threads")
    resources:
        mem_mb=asks("make_affinity_labels", "mem_mb"),
        runtime=asks("make_affinity_labels", "runtime"),
    params:
        identity=identity("affinity_labels"),
    script:
        "../workflow_scripts/make_affinity_labels.py"


rule train_affinity:
    input:
        index=upstream("affinity", "dataset", "index.csv"),
        classes=upstream("affinity", "dataset", "classes.json"),
        images=SHRUNKEN,
        labels=confident_labels,
        initial=starting_network("affinity"),
    output:
        weights=f"{FOLDER}/affinity/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/affinity/{{artifact}}/training.csv",
    log:
        f"{FOLDER}/logs/train_affinity/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/train_affinity/{{artifact}}.tsv"
    priority: 30  # long jobs first: a late one would run alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: asks("train_affinity", "threads")
    resources:
        mem_mb=asks("train_affinity", "mem_mb"),
        runtime=asks("train_affinity", "runtime"),
        gpu=asks("train_affinity", "gpu"),
    params:
        identity=identity("affinity"),
    script:
        "../workflow_scripts/train_affinity.py"


rule spread_cams:
    input:
        index=upstream("walked_cams", "dataset", "index.csv"),
        classes=upstream("walked_cams", "dataset", "classes.json"),
        images=SHRUNKEN,
        cams=upstream_shard("walked_cams", "cams", "shards", ".h5"),
        affinity=upstream("walked_cams", "affinity", "weights.safetensors"),
    output:
        shard=f"{FOLDER}/walked_cams/{{artifact}}/shards/{{shard}}-of-{{shards}}.h5",
    log:
        f"{FOLDER}/logs/spread_cams/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/spread_cams/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("spread_cams", "threads")
    resources:
        mem_mb=asks("spread_cams", "mem_mb"),
        runtime=asks("spread_cams", "runtime"),
        gpu=asks("spread_cams", "gpu"),
    params:
        identity=identity("walked_cams"),
    script:
        "../workflow_scripts/spread_cams.py"


rule make_pseudo_labels:
    input:
        index=upstream("pseudo_labels", "dataset", "index.csv"),
        classes=upstream("pseudo_labels", "dataset", "classes.json"),
        images=SHRUNKEN,
        maps=upstream_shard("pseudo_labels", "maps", "shards", ".h5"),
        seed_threshold=upstream_if_any("pseudo_labels", "seed_threshold", "threshold.json"),
        threshold=upstream_if_any("pseudo_labels", "threshold", "threshold.json"),
    output:
        labels=f"{FOLDER}/pseudo_labels/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        f"{FOLDER}/logs/make_pseudo_labels/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/make_pseudo_labels/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("make_pseudo_labels", "threads")
    resources:
        mem_mb=asks("make_pseudo_labels", "mem_mb"),
        runtime=asks("make_pseudo_labels", "runtime"),
    params:
        identity=identity("pseudo_labels"),
    script:
        "../workflow_scripts/make_pseudo_labels.py"
