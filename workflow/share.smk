# Machines that share one leaderboard, or one set of prepared images, through an S3 bucket:
#   snakemake -s workflow/share.smk --cores 4 push --config bucket=s3://lab/leangan scale=paper
#   snakemake -s workflow/share.smk --cores 4 pull --config bucket=s3://lab/leangan scale=paper
#   ... --config bucket=s3://lab/leangan what=data      prepared images and subsets instead of rows and curves
# A server of your own: --storage-s3-endpoint-url https://... ; keys as in docs/scale.md.
#
# Nothing is ever overwritten, neither here nor there: a file goes where its name is missing. So machines may push and
# pull in any order and end with the same rows, each run's from the machine that was first.
import re
from pathlib import Path


configfile: "config/config.yaml"


storage:
    provider="s3",


def choice(key, allowed):
    if config.get(key) not in allowed:
        raise WorkflowError(f"{key}={config.get(key)!r} is not one of {', '.join(allowed)}: --config {key}=...")
    return config[key]


if not re.fullmatch(r"s3://[^/]+(/.+)?", config.get("bucket", "")):
    raise WorkflowError(f"bucket={config.get('bucket')!r} names no bucket: --config bucket=s3://lab/leangan")

config.setdefault("what", "rows")
BUCKET = config["bucket"].rstrip("/")
FOLDERS = {"rows": [f"results/{config['scale']}/rows"], "data": ["resources/data", "resources/subsets"]}[
    choice("what", ["rows", "data"])
]


def files_here():
    """Files of the shared folders; those whose name begins with a dot are being written."""
    found = (path for folder in FOLDERS for path in Path(folder).rglob("[!.]*") if path.is_file())
    return {path.as_posix() for path in found}


def files_there():
    """The same of the bucket, listed by the plugin's own client and so with its address and keys."""
    place = storage.s3(f"{BUCKET}/.").flags["storage_object"]
    if not place.bucket_exists():
        return set()
    prefix = BUCKET.removeprefix("s3://").partition("/")[2]
    keys = (item.key.removeprefix(f"{prefix}/") for item in place.s3bucket().objects.filter(Prefix=prefix))
    return {key for key in keys if key.startswith(tuple(f"{folder}/" for folder in FOLDERS))}


HERE, THERE = files_here(), files_there()


def alternatives(names):
    return "|".join(map(re.escape, names)) or "(?!)"


rule push:
    default_target: True
    localrule: True
    input:
        [storage.s3(f"{BUCKET}/{file}") for file in sorted(HERE - THERE)],


rule pull:
    localrule: True
    input:
        sorted(THERE - HERE),


rule upload:
    input:
        "{file}",
    output:
        storage.s3(f"{BUCKET}/{{file}}"),
    wildcard_constraints:
        file=alternatives(HERE - THERE),
    localrule: True
    shell:
        "cp {input:q} {output:q}"


rule fetch:
    input:
        storage.s3(f"{BUCKET}/{{file}}"),
    output:
        "{file}",
    wildcard_constraints:
        file=alternatives(THERE - HERE),
    localrule: True
    shell:
        "cp {input:q} {output:q}"
