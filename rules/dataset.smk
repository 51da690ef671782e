# Stage `dataset`: which images there are, what they show, and (apart, for scoring only) their masks.


rule generate_creatures:
    output:
        images=directory(f"{FOLDER}/generated/{{artifact}}/JPEGImages"),
        annotations=directory(f"{FOLDER}/generated/{{artifact}}/Annotations"),
        lists=directory(f"{FOLDER}/generated/{{artifact}}/ImageSets"),
        masks=directory(f"{FOLDER}/generated/{{artifact}}/SegmentationClass"),
    log:
        f"{FOLDER}/logs/generate_creatures/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/generate_creatures/{{artifact}}.tsv"
    conda:
        "../envs/wsss.yaml"
    threads: asks("generate_creatures", "threads")
    resources:
        mem_mb=asks("generate_creatures", "mem_mb"),
        runtime=asks("generate_creatures", "runtime"),
    params:
        identity=identity("generated"),
    script:
        "../workflow_scripts/generate_creatures.py"


# The folder of images is an output only where large images are shrunk.
rule index_dataset:
    input:
        raw=raw_inputs(RAW.inputs()),
    output:
        **{"images": directory(f"{FOLDER}/dataset/{{artifact}}/images") for _ in SHRUNKEN},
        index=f"{FOLDER}/dataset/{{artifact}}/index.csv",
        classes=f"{FOLDER}/dataset/{{artifact}}/classes.json",
        report=f"{FOLDER}/dataset/{{artifact}}/dataset_report.html",
        counts=f"{FOLDER}/dataset/{{artifact}}/dataset_report.csv",
        skipped=f"{FOLDER}/dataset/{{artifact}}/skipped.csv",
    log:
        f"{FOLDER}/logs/index_dataset/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/index_dataset/{{artifact}}.tsv"
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: asks("index_dataset", "threads")
    resources:
        mem_mb=asks("index_dataset", "mem_mb"),
        runtime=asks("index_dataset", "runtime"),
    params:
        identity=identity("dataset"),
        root=lambda wildcards: raw_root(),
        names=RAW.names_digest(),  # so that a change of them makes the index anew
    script:
        "../workflow_scripts/index_dataset.py"


rule index_masks:
    input:
        raw=raw_inputs(RAW.mask_inputs()),
        index=upstream("masks", "dataset", "index.csv"),
        classes=upstream("masks", "dataset", "classes.json"),
    output:
        masks=f"{FOLDER}/masks/{{artifact}}/masks.csv",
        skipped=f"{FOLDER}/masks/{{artifact}}/skipped.csv",
    log:
        f"{FOLDER}/logs/index_masks/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/index_masks/{{artifact}}.tsv"
    priority: 100
    conda:
        "../envs/wsss.yaml"
    threads: asks("index_masks", "threads")
    resources:
        mem_mb=asks("index_masks", "mem_mb"),
        runtime=asks("index_masks", "runtime"),
    params:
        identity=identity("masks"),
        root=lambda wildcards: raw_root(),
        dataset=lambda wildcards: plan.dataset.parameters,
    script:
        "../workflow_scripts/index_masks.py"
