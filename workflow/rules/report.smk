# Tables and figures of one artefact are one job. Files under version control are local. With results in a bucket, the
# engine fetches declared files, and the commands find the other files of results/<scale> next to them.
RENDER = f"python -m leangan render --config {CONFIG}"
RESULTS = 'results="$(dirname "$(dirname {log:q})")"'
RENDERED = ASKED.output_name("{artefact}")
PAGE = "python -m leangan page --published {input.published:q} --submitted results/submitted"


rule render:
    input:
        rows=lambda wildcards: made_here(rows_files(wildcards.artefact)),
        specs=lambda wildcards: spec_files(wildcards.artefact),
        curves=lambda wildcards: made_here(curve_files(wildcards.artefact)),
        artefact=local("config/artefacts/{artefact}.yaml"),
        published=local("results/published/published.csv"),
    output:
        f"results/{SCALE}/tables/{RENDERED}.md",
        f"results/{SCALE}/tables/{RENDERED}.csv",
        f"results/{SCALE}/tables/{RENDERED}.tex",
        figures=directory(f"results/{SCALE}/figures/{RENDERED}"),
    log:
        f"results/{SCALE}/logs/render-{{artefact}}.log",
    localrule: True
    params:
        shown=lambda wildcards: shown_by(wildcards.artefact),
    shell:
        f"{RENDER} --artefacts {{wildcards.artefact:q}}"
        ' --results "$(dirname "$(dirname {output.figures:q})")" 2>&1 | tee {log:q}'


rule collect:
    input:
        rows=lambda wildcards: made_here(of_all(rows_files)),
        specs=lambda wildcards: of_all(spec_files),
        submitted=list(map(local, sorted(Path("results/submitted").glob("*.json")))),
    output:
        f"results/{SCALE}/results.csv",
    log:
        f"results/{SCALE}/logs/collect.log",
    localrule: True
    params:
        stored=lambda wildcards: stored(of_all(rows_files)),
    shell:
        'python -m leangan collect --rows "$(dirname {output:q})/rows" --submitted results/submitted --out {output:q}'
        " 2>&1 | tee {log:q}"


rule page:
    input:
        results=f"results/{SCALE}/results.csv",
        specs=lambda wildcards: of_all(spec_files),
        curves=lambda wildcards: made_here(of_all(curve_files)),
        published=local("results/published/published.csv"),
    output:
        page=f"results/{SCALE}/page/index.html",
        table=f"results/{SCALE}/page/leaderboard.csv",
        document=f"results/{SCALE}/page/leaderboard.json",
    log:
        f"results/{SCALE}/logs/page.log",
    localrule: True
    params:
        shown=lambda wildcards: shown_on_page(),
    shell:
        f'{PAGE} --results {{input.results:q}} --rows "$(dirname {{input.results:q}})/rows" --out {{output.page:q}}'
        " 2>&1 | tee {log:q}"


# The targets below take the rows that already exist, ask for no run and so never train one.


rule leaderboard:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/leaderboard.log",
    localrule: True
    shell:
        f'{RESULTS}; {PAGE} --rows "$results/rows" --out "$results/page/index.html" 2>&1 | tee {{log:q}}'


# Of every scale, whichever is configured.
rule figures:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/figures.log",
    localrule: True
    shell:
        f"{RESULTS}; python -m leangan figures --config {CONFIG}"
        ' --results "$(dirname "$results")" 2>&1 | tee {log:q}'
