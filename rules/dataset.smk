# Stage `dataset`: the images, what they show, and (separately, only for scoring) their masks.


rule generate_creatures:
    output:
        images=directory(f"{FOLDER}/generated/{{artifact}}/JPEGImages"),
        annotations=directory(f"{FOLDER}/generated/{{artifact}}/Annotations"),
        lists=directory(f"{FOLDER}/generated/{{artifact}}/ImageSets"),
        masks=directory(f"{FOLDER}/generated/{{artifact}}/SegmentationClass"),
    log:
        ask.log("generate_creatures/{artifact}"),
    benchmark:
        ask.benchmark("generate_creatures/{artifact}")
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("generate_creatures")
    resources:
        **ask.resources("generate_creatures"),
    params:
        identity=ask.identity("generated"),
    script:
        "../workflow_scripts/generate_creatures.py"


# The folder of images is an output only if large images are shrunk.
rule index_dataset:
    input:
        raw=ask.raw_inputs(ask.raw.inputs()),
    output:
        **{"images": directory(f"{FOLDER}/dataset/{{artifact}}/images") for _ in ask.shrunken},
        index=f"{FOLDER}/dataset/{{artifact}}/index.csv",
        classes=f"{FOLDER}/dataset/{{artifact}}/classes.json",
        report=f"{FOLDER}/dataset/{{artifact}}/dataset_report.html",
        counts=f"{FOLDER}/dataset/{{artifact}}/dataset_report.csv",
        skipped=f"{FOLDER}/dataset/{{artifact}}/skipped.csv",
    log:
        ask.log("index_dataset/{artifact}"),
    benchmark:
        ask.benchmark("index_dataset/{artifact}")
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_dataset")
    resources:
        **ask.resources("index_dataset"),
    params:
        identity=ask.identity("dataset"),
        root=lambda wildcards: ask.raw_root,
        names=ask.raw.names_digest(),  # so that a change of them makes the index again
    script:
        "../workflow_scripts/index_dataset.py"


# Masks that a person corrected: a training sees them only if its experiment names their folder.
rule index_corrections:
    input:
        masks=ask.corrected_masks,
        index=ask.upstream("corrected_masks", "dataset", "index.csv"),
        classes=ask.upstream("corrected_masks", "dataset", "classes.json"),
    output:
        masks=f"{FOLDER}/corrected_masks/{{artifact}}/masks.csv",
    log:
        ask.log("index_corrections/{artifact}"),
    benchmark:
        ask.benchmark("index_corrections/{artifact}")
    priority: 100  # reports a wrong mask before anything is trained
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_corrections")
    resources:
        **ask.resources("index_corrections"),
    params:
        identity=ask.identity("corrected_masks"),
    script:
        "../workflow_scripts/index_corrections.py"


# Saliency maps are not masks: labels are made with them if the configuration says so.
rule index_saliency:
    input:
        maps=without_traceback(ask.saliency_maps),
        index=ask.upstream("saliency", "dataset", "index.csv"),
        classes=ask.upstream("saliency", "dataset", "classes.json"),
    output:
        table=f"{FOLDER}/saliency/{{artifact}}/saliency.csv",
    log:
        ask.log("index_saliency/{artifact}"),
    benchmark:
        ask.benchmark("index_saliency/{artifact}")
    priority: 100  # reports a wrong map before anything is trained
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_saliency")
    resources:
        **ask.resources("index_saliency"),
    params:
        identity=ask.identity("saliency"),
    script:
        "../workflow_scripts/index_saliency.py"


# Masks of segments without classes, from any generator, that pseudo labels are joined with.
rule index_sam_masks:
    input:
        index=ask.upstream("sam_masks", "dataset", "index.csv"),
        classes=ask.upstream("sam_masks", "dataset", "classes.json"),
    output:
        segments=f"{FOLDER}/sam_masks/{{artifact}}/segments.csv",
    log:
        ask.log("index_sam_masks/{artifact}"),
    benchmark:
        ask.benchmark("index_sam_masks/{artifact}")
    priority: 100  # reports a missing or wrong mask before anything is trained
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_sam_masks")
    resources:
        **ask.resources("index_sam_masks"),
    params:
        identity=ask.identity("sam_masks"),
        state=ask.state_of_sam_masks,  # so that changed masks are read again
    script:
        "../workflow_scripts/index_sam_masks.py"


rule index_masks:
    input:
        raw=ask.raw_inputs(ask.raw.mask_inputs()),
        index=ask.upstream("masks", "dataset", "index.csv"),
        classes=ask.upstream("masks", "dataset", "classes.json"),
    output:
        masks=f"{FOLDER}/masks/{{artifact}}/masks.csv",
        skipped=f"{FOLDER}/masks/{{artifact}}/skipped.csv",
    log:
        ask.log("index_masks/{artifact}"),
    benchmark:
        ask.benchmark("index_masks/{artifact}")
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: ask.threads("index_masks")
    resources:
        **ask.resources("index_masks"),
    params:
        identity=ask.identity("masks"),
        root=lambda wildcards: ask.raw_root,
        dataset=lambda wildcards: ask.plan.dataset.parameters,
    script:
        "../workflow_scripts/index_masks.py"
