# Stages `refined_seeds`, `affinity_labels`, `affinity`, `walked_cams`, `pseudo_labels`: from class maps to one label per pixel.


rule refine_seeds:
    input:
        **ask.index("refined_seeds"),
        cams=ask.upstream_shard("refined_seeds", "cams"),
        seed_threshold=ask.upstream_if_any("refined_seeds", "seed_threshold", "threshold.json"),
    output:
        labels=f"{FOLDER}/refined_seeds/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        ask.log("refine_seeds/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("refine_seeds/{artifact}.{shard}-of-{shards}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("refine_seeds")
    resources:
        **ask.resources("refine_seeds"),
    params:
        identity=ask.identity("refined_seeds"),
    script:
        "../workflow_scripts/refine_seeds.py"


rule make_affinity_labels:
    input:
        **ask.index("affinity_labels"),
        cams=ask.upstream_shard("affinity_labels", "cams"),
        seed_threshold=ask.upstream_if_any("affinity_labels", "seed_threshold", "threshold.json"),
    output:
        labels=f"{FOLDER}/affinity_labels/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        ask.log("make_affinity_labels/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("make_affinity_labels/{artifact}.{shard}-of-{shards}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("make_affinity_labels")
    resources:
        **ask.resources("make_affinity_labels"),
    params:
        identity=ask.identity("affinity_labels"),
    script:
        "../workflow_scripts/make_affinity_labels.py"


rule train_affinity:
    input:
        **ask.index("affinity"),
        labels=ask.training_labels("affinity", "affinity_labels"),
        initial=ask.starting_weights("affinity"),
    output:
        weights=f"{FOLDER}/affinity/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/affinity/{{artifact}}/training.csv",
    log:
        ask.log("train_affinity/{artifact}"),
    benchmark:
        ask.benchmark("train_affinity/{artifact}")
    priority: 30  # long jobs first, so that none runs alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("train_affinity")
    resources:
        **ask.resources("train_affinity"),
    params:
        identity=ask.identity("affinity"),
    script:
        "../workflow_scripts/train_affinity.py"


rule spread_cams:
    input:
        **ask.index("walked_cams"),
        cams=ask.upstream_shard("walked_cams", "cams"),
        affinity=ask.upstream_if_any("walked_cams", "affinity", "weights.safetensors"),
    output:
        shard=f"{FOLDER}/walked_cams/{{artifact}}/shards/{{shard}}-of-{{shards}}.h5",
    log:
        ask.log("spread_cams/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("spread_cams/{artifact}.{shard}-of-{shards}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("spread_cams")
    resources:
        **ask.resources("spread_cams"),
    params:
        identity=ask.identity("walked_cams"),
    script:
        "../workflow_scripts/spread_cams.py"


rule make_pseudo_labels:
    input:
        **ask.index("pseudo_labels"),
        maps=ask.upstream_shard("pseudo_labels", "maps"),
        seed_threshold=ask.upstream_if_any("pseudo_labels", "seed_threshold", "threshold.json"),
        threshold=ask.upstream_if_any("pseudo_labels", "threshold", "threshold.json"),
        saliency=ask.upstream_if_any("pseudo_labels", "saliency", "saliency.csv"),
        segments=ask.upstream_if_any("pseudo_labels", "sam_masks", "segments.csv"),
    output:
        labels=f"{FOLDER}/pseudo_labels/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        ask.log("make_pseudo_labels/{artifact}.{shard}-of-{shards}"),
    benchmark:
        ask.benchmark("make_pseudo_labels/{artifact}.{shard}-of-{shards}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("make_pseudo_labels")
    resources:
        **ask.resources("make_pseudo_labels"),
    params:
        identity=ask.identity("pseudo_labels"),
    script:
        "../workflow_scripts/make_pseudo_labels.py"
