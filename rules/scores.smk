# Scores against masks. Besides trainings that an experiment gives masks to, only these rules see masks.


rule score_cams:
    input:
        shards=ask.shards_of("maps"),
        masks=ask.plan.masks.path("masks.csv"),
        scored_list=ask.scored_list,
    output:
        scores=reported(
            f"{FOLDER}/{{maps}}/{{artifact}}/scores.csv", "class_map_scores", "Scores", "{maps}", artifact="{artifact}"
        ),
        images=f"{FOLDER}/{{maps}}/{{artifact}}/images.csv",
    log:
        ask.log("score_cams/{maps}.{artifact}"),
    benchmark:
        ask.benchmark("score_cams/{maps}.{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("score_cams")
    resources:
        **ask.resources("score_cams"),
    params:
        walked=ask.walked,
        conditions=ask.conditions("maps"),
    script:
        "../workflow_scripts/score_cams.py"


# The only scoring rule that computes on a GPU: images climb and are scored at once, as the maps of all steps would take
# 27 times the space of one step's.
rule score_climb:
    input:
        **ask.index("climb_scores"),
        classifier=ask.upstream("climb_scores", "classifier", "weights.safetensors"),
        verdict=ancient(ask.upstream("climb_scores", "classifier", "verdict.json")),
        masks=ask.plan.masks.path("masks.csv"),
        scored_list=ask.scored_list,
    output:
        scores=f"{FOLDER}/climb_scores/{{artifact}}/scores.csv",
        amplification=f"{FOLDER}/climb_scores/{{artifact}}/amplification.csv",
    log:
        ask.log("score_climb/{artifact}"),
    benchmark:
        ask.benchmark("score_climb/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("score_climb")
    resources:
        **ask.resources("score_climb"),
    params:
        identity=ask.identity("climb_scores"),
        conditions=ask.conditions_of_climb,
    script:
        "../workflow_scripts/score_climb.py"


# Early, to report a wrong list before anything is trained.
rule index_subset:
    input:
        subset=ask.subset_file,
        index=ask.plan.dataset.path("index.csv"),
        classes=ask.plan.dataset.path("classes.json"),
        masks=ask.plan.masks.path("masks.csv"),
    output:
        masks=f"{FOLDER}/{{listing}}/{{artifact}}/masks.csv",
    log:
        ask.log("index_subset/{listing}.{artifact}"),
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_subset")
    resources:
        **ask.resources("index_subset"),
    script:
        "../workflow_scripts/index_subset.py"


rule score_subset:
    input:
        maps=ask.upstream_shards("threshold", "maps"),
        masks=f"{FOLDER}/threshold/{{artifact}}/masks.csv",
    output:
        scores=f"{FOLDER}/threshold/{{artifact}}/scores.csv",
    log:
        ask.log("score_subset/{artifact}"),
    benchmark:
        ask.benchmark("score_subset/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("score_cams")
    resources:
        **ask.resources("score_cams"),
    params:
        walked=ask.walked,
        conditions=ask.conditions_of_subset,
    script:
        "../workflow_scripts/score_subset.py"


rule choose_threshold:
    input:
        scores=ask.threshold_scores,
    output:
        threshold=f"{FOLDER}/threshold/{{artifact}}/threshold.json",
    log:
        ask.log("choose_threshold/{artifact}"),
    wildcard_constraints:
        artifact=ask.names("threshold", lambda parameters: parameters["best_on"] is not None),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        identity=ask.identity("threshold"),
    script:
        "../workflow_scripts/choose_threshold.py"


# Uses no score and no mask: it is here because it makes the same file as choose_threshold.
rule choose_threshold_without_masks:
    input:
        maps=ask.upstream_shards("threshold", "maps"),
    output:
        threshold=f"{FOLDER}/threshold/{{artifact}}/threshold.json",
    log:
        ask.log("choose_threshold_without_masks/{artifact}"),
    benchmark:
        ask.benchmark("choose_threshold_without_masks/{artifact}")
    wildcard_constraints:
        artifact=ask.names("threshold", lambda parameters: parameters["best_on"] is None),
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("choose_threshold_without_masks")
    resources:
        **ask.resources("choose_threshold_without_masks"),
    params:
        identity=ask.identity("threshold"),
        walked=ask.walked,
    script:
        "../workflow_scripts/choose_threshold_without_masks.py"


rule score_label_maps:
    input:
        labels=ask.shards_of("stage"),
        masks=ask.plan.masks.path("masks.csv"),
        classes=ask.plan.dataset.path("classes.json"),
        scored_list=ask.scored_images,
        index_of_objects=ask.index_of_objects,
        thresholds=ask.thresholds_in_conditions,
    output:
        scores=reported(
            f"{FOLDER}/{{stage}}/{{artifact}}/labels.scores.csv",
            "label_map_scores",
            "Scores",
            "{stage}",
            artifact="{artifact}",
        ),
        images=f"{FOLDER}/{{stage}}/{{artifact}}/labels.images.csv",
    log:
        ask.log("score_label_maps/{stage}.{artifact}"),
    benchmark:
        ask.benchmark("score_label_maps/{stage}.{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("score_label_maps")
    resources:
        **ask.resources("score_label_maps"),
    params:
        conditions=ask.conditions("stage"),
    script:
        "../workflow_scripts/score_label_maps.py"
