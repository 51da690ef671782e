# Scores against masks: the only rules, beside the mask-supervised upper bound, that see a mask.


rule score_cams:
    input:
        shards=own_shards("cams", "shards", ".h5"),
        masks=plan.masks.path("masks.csv"),
    output:
        scores=f"{FOLDER}/cams/{{artifact}}/scores.csv",
    log:
        f"{FOLDER}/logs/score_cams/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_cams/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_cams", "threads")
    resources:
        mem_mb=asks("score_cams", "mem_mb"),
        runtime=asks("score_cams", "runtime"),
    script:
        "../workflow_scripts/score_cams.py"


rule score_label_maps:
    input:
        labels=label_map_shards,
        masks=plan.masks.path("masks.csv"),
        classes=plan.dataset.path("classes.json"),
    output:
        scores=f"{FOLDER}/{{stage}}/{{artifact}}/{{kind}}.scores.csv",
    log:
        f"{FOLDER}/logs/score_label_maps/{{stage}}.{{artifact}}.{{kind}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_label_maps/{{stage}}.{{artifact}}.{{kind}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_label_maps", "threads")
    resources:
        mem_mb=asks("score_label_maps", "mem_mb"),
        runtime=asks("score_label_maps", "runtime"),
    script:
        "../workflow_scripts/score_label_maps.py"
