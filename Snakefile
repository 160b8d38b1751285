# leangan: GAN training with little data, every method under one loop and one protocol.
#   snakemake --cores all                    train, measure and render the artefacts of config/config.yaml
#   snakemake --cores all plan               what that would run, how long it takes and what it leaves on the disk
#   snakemake --cores all paper              the artefacts of both papers: --config scale=paper as published, scale=day
#                                            what one GPU does in a day
#   snakemake --cores all figures            re-render tables, figures and pages of all scales from stored rows; trains
#                                            nothing
#   snakemake --cores all leaderboard        the page alone, from stored rows
#   snakemake --cores all <artefact>         one artefact: a file name of config/artefacts/
from snakemake.utils import min_version

min_version("9.8")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    localrule: True
    input:
        [rendered(name) for name in ASKED.artefacts],
        lambda wildcards: made_here(of_all(rows_files)),
        f"results/{SCALE}/page/index.html",


# Both papers, and the page of all rows that lie there.
rule paper:
    localrule: True
    input:
        [rendered(name) for name in configuration.paper_artefacts(SCALE)],
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/paper.log",
    shell:
        f'{RESULTS}; {PAGE} --rows "$results/rows" --out "$results/page/index.html" 2>&1 | tee {{log:q}}'


rule plan:
    localrule: True
    log:
        f"results/{SCALE}/logs/plan.log",
    shell:
        f"python -m leangan plan --config {CONFIG} 2>&1 | tee {{log:q}}"


# The name of every artefact is a target.
if taken := {rule.name for rule in workflow.rules} & set(artefact_names()):
    name = min(taken)
    raise WorkflowError(f"config/artefacts/{name}.yaml: {name!r} is a rule of the workflow. Rename the file.")

for name in artefact_names():

    rule:
        name:
            name
        localrule: True
        input:
            rendered(name),
            lambda wildcards, name=name: made_here(rows_files(name)),


# A Snakefile that includes this one has targets of its own.
try:
    for target in TARGETS if len(workflow.included_stack) == 1 else []:
        if not workflow.is_rule(target):
            check_target(target, [rule.name for rule in workflow.rules if not rule.has_wildcards()], ASKED)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
