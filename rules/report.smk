# What people look at: report, summary, pictures, links; and the list of what no experiment needs any more.


rule summarise:
    input:
        scores=ask.scores_of(ask.plan.experiments),
        complete=ask.links_of(ask.plan.experiments),
        classifiers=descriptions.files_of_classifiers(ask),
    output:
        table=reported(f"{FOLDER}/summary.csv", "summary", "Summary", None, what="table of scores"),
        text=f"{FOLDER}/summary.md",
    log:
        ask.log("summarise"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=ask.config.dataset.name,
        experiments=descriptions.described_experiments(ask),
        classifiers=descriptions.described_classifiers(ask),
    script:
        "../workflow_scripts/summarise.py"


rule make_report:
    input:
        index=ask.plan.dataset.path("index.csv"),
        classes=ask.plan.dataset.path("classes.json"),
        images=ask.shrunken,
        masks=ask.masks,
        scores=ask.scores_of(ask.plan.experiments),
        complete=ask.links_of(ask.plan.experiments),
        classifiers=descriptions.files_of_classifiers(ask),
        repeats=comparison.files_of_repeats(ask),
        climbs=[climb.path("climb.h5") for climb in ask.plan.climbs.values()],
        climb_thresholds=[chosen.path("threshold.json") for chosen in ask.plan.climb_thresholds.values()],
        climb_scores=ask.climb_scores(),
        erasings=[erasing.path("erasing.h5") for erasing in ask.plan.erasings.values()],
    output:
        page=reported(f"{FOLDER}/report.html", "report_page", "Summary", None, what="page about the run"),
    log:
        ask.log("make_report"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=ask.config.dataset.name,
        experiments=descriptions.described_experiments(ask),
        classifiers=descriptions.described_classifiers(ask),
        stages={name: directories(stages) for name, stages in ask.plan.experiments.items()},
        artifacts=descriptions.described_artifacts(ask),
        settings=all_settings(ask.config),
        maps=descriptions.described_maps(ask, descriptions.pictured_stages()),
        seed_thresholds=descriptions.seed_thresholds(ask),
        shown=ask.config.report.images,
        climbs=descriptions.described_climbs(ask),
        climb_scores=descriptions.described_climb_scores(ask),
        erasings=descriptions.described_erasings(ask),
        corrections=descriptions.described_corrections(ask),
        compared=comparison.described_comparison(ask),
    script:
        "../workflow_scripts/make_report.py"


rule report_sweep:
    input:
        scores=ask.scores_of_sweep,
        complete=ask.links_of_sweep,
    output:
        table=reported(f"{FOLDER}/sweeps/{{sweep}}/table.csv", "sweep", "Sweeps", "{sweep}", what="table"),
        text=f"{FOLDER}/sweeps/{{sweep}}/table.md",
        picture=reported(f"{FOLDER}/sweeps/{{sweep}}/plot.png", "sweep", "Sweeps", "{sweep}", what="plot"),
    log:
        ask.log("report_sweep/{sweep}"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        title=lambda wildcards: descriptions.title_of_sweep(ask, wildcards.sweep),
        points=lambda wildcards: descriptions.described_points(ask, wildcards.sweep),
    script:
        "../workflow_scripts/report_sweep.py"


rule report_climb_scores:
    input:
        scores=ask.climb_scores(),
        thresholds=descriptions.thresholds_of_climb_scores(ask),
    output:
        table=reported(f"{FOLDER}/climb_scores.csv", "climb_scores", "Summary", None, what="seeds over AdvCAM's steps"),
        picture=reported(f"{FOLDER}/climb_scores.png", "climb_scores", "Summary", None, what="the same as a plot"),
    log:
        ask.log("report_climb_scores"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=ask.config.dataset.name,
        scored=descriptions.described_climb_scores(ask),
    script:
        "../workflow_scripts/report_climb_scores.py"


rule draw_overview:
    input:
        index=ask.plan.dataset.path("index.csv"),
        classes=ask.plan.dataset.path("classes.json"),
        images=ask.shrunken,
        masks=ask.masks,
        complete=ask.links_of(ask.plan.experiments),
    output:
        picture=reported(f"{FOLDER}/overview.png", "overview", "Summary", None, what="overview of images and maps"),
    log:
        ask.log("draw_overview"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        experiments=descriptions.described_maps(ask, ("cams", "pseudo_labels")),
    script:
        "../workflow_scripts/draw_overview.py"


rule link_experiment:
    input:
        ask.files_of_experiment,
    output:
        links=f"{FOLDER}/experiments/{{experiment}}/links.json",
    log:
        ask.log("link_experiment/{experiment}"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        artifacts=ask.directories_of_experiment,
    script:
        "../workflow_scripts/link_experiment.py"


rule prune:
    log:
        ask.log("prune"),
    localrule: True
    conda:
        "../envs/wsss.yaml"
    params:
        folder=FOLDER,
        artifacts=[str(artifact.directory) for artifact in ask.plan.artifacts()],
        experiments=list(ask.stages),
        sweeps=list(ask.sweeps),
        delete=ask.config.runtime.prune == "delete",
        configfiles=[str(file) for file in workflow.overwrite_configfiles],
    script:
        "../workflow_scripts/prune.py"
