# Scores against masks: the only rules, beside trainings that an experiment gives masks to, that see a mask.


rule score_cams:
    input:
        shards=lambda wildcards: shard_paths(
            plan.artifact(wildcards.maps, wildcards.artifact), "shards", ".h5"
        ),
        masks=plan.masks.path("masks.csv"),
    output:
        scores=report(
            f"{FOLDER}/{{maps}}/{{artifact}}/scores.csv",
            caption="../captions/class_map_scores.rst",
            category="Scores",
            subcategory="{maps}",
            labels={"artifact": "{artifact}"},
        ),
    log:
        f"{FOLDER}/logs/score_cams/{{maps}}.{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_cams/{{maps}}.{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_cams", "threads")
    resources:
        mem_mb=asks("score_cams", "mem_mb"),
        runtime=asks("score_cams", "runtime"),
    params:
        walked=lambda wildcards: wildcards.maps == "walked_cams",
        conditions=lambda wildcards: score_conditions(
            plan.artifact(wildcards.maps, wildcards.artifact)
        ),
    script:
        "../workflow_scripts/score_cams.py"


# Early, so that a wrong list is told before anything is trained.
rule index_subset:
    input:
        subset=subset_file,
        index=plan.dataset.path("index.csv"),
        classes=plan.dataset.path("classes.json"),
        masks=plan.masks.path("masks.csv"),
    output:
        masks=f"{FOLDER}/{{listing}}/{{artifact}}/masks.csv",
    log:
        f"{FOLDER}/logs/index_subset/{{listing}}.{{artifact}}.log",
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: asks("index_masks", "threads")
    resources:
        mem_mb=asks("index_masks", "mem_mb"),
        runtime=asks("index_masks", "runtime"),
    script:
        "../workflow_scripts/index_subset.py"


rule score_subset:
    input:
        maps=upstream_shards("threshold", "maps", "shards", ".h5"),
        masks=f"{FOLDER}/threshold/{{artifact}}/masks.csv",
    output:
        scores=f"{FOLDER}/threshold/{{artifact}}/scores.csv",
    log:
        f"{FOLDER}/logs/score_subset/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_subset/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_cams", "threads")
    resources:
        mem_mb=asks("score_cams", "mem_mb"),
        runtime=asks("score_cams", "runtime"),
    params:
        walked=lambda wildcards: plan.artifact("threshold", wildcards.artifact)
        .upstream["maps"]
        .stage
        == "walked_cams",
        conditions=lambda wildcards: subset_conditions(
            plan.artifact("threshold", wildcards.artifact)
        ),
    script:
        "../workflow_scripts/score_subset.py"


rule choose_threshold:
    input:
        scores=threshold_scores,
    output:
        threshold=f"{FOLDER}/threshold/{{artifact}}/threshold.json",
    log:
        f"{FOLDER}/logs/choose_threshold/{{artifact}}.log",
    wildcard_constraints:
        artifact=one_of(threshold_names(by_masks=True)),
    conda:
        "../envs/wsss.yaml"
    params:
        identity=identity("threshold"),
    script:
        "../workflow_scripts/choose_threshold.py"


# No score and no mask is looked at: it belongs here because it makes what choose_threshold makes.
rule choose_threshold_without_masks:
    input:
        maps=upstream_shards("threshold", "maps", "shards", ".h5"),
    output:
        threshold=f"{FOLDER}/threshold/{{artifact}}/threshold.json",
    log:
        f"{FOLDER}/logs/choose_threshold_without_masks/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/choose_threshold_without_masks/{{artifact}}.tsv"
    wildcard_constraints:
        artifact=one_of(threshold_names(by_masks=False)),
    conda:
        "../envs/wsss.yaml"
    threads: asks("choose_threshold_without_masks", "threads")
    resources:
        mem_mb=asks("choose_threshold_without_masks", "mem_mb"),
        runtime=asks("choose_threshold_without_masks", "runtime"),
    params:
        identity=identity("threshold"),
        walked=lambda wildcards: plan.artifact("threshold", wildcards.artifact)
        .upstream["maps"]
        .stage
        == "walked_cams",
    script:
        "../workflow_scripts/choose_threshold_without_masks.py"


rule score_label_maps:
    input:
        labels=label_map_shards,
        masks=plan.masks.path("masks.csv"),
        classes=plan.dataset.path("classes.json"),
        thresholds=lambda wildcards: threshold_files(
            plan.artifact(wildcards.stage, wildcards.artifact)
        ),
    output:
        scores=report(
            f"{FOLDER}/{{stage}}/{{artifact}}/labels.scores.csv",
            caption="../captions/label_map_scores.rst",
            category="Scores",
            subcategory="{stage}",
            labels={"artifact": "{artifact}"},
        ),
    log:
        f"{FOLDER}/logs/score_label_maps/{{stage}}.{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/score_label_maps/{{stage}}.{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("score_label_maps", "threads")
    resources:
        mem_mb=asks("score_label_maps", "mem_mb"),
        runtime=asks("score_label_maps", "runtime"),
    params:
        conditions=lambda wildcards: score_conditions(
            plan.artifact(wildcards.stage, wildcards.artifact)
        ),
    script:
        "../workflow_scripts/score_label_maps.py"
