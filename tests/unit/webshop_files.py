"""Small data directories in the original's formats, for tests."""

import json

ROW = {
    "asin": "B000000001",
    "name": "Red Cotton Shirt",
    "category": "fashion",
    "query": " Shirts ",
    "product_category": "Clothing \u203a Men \u203a Shirts",
    "full_description": "A shirt.",
    "small_description": ["soft", "warm"],
    "pricing": "$12.50",
    "customization_options": {"Color": [{"value": " Red/Blue "}, {"value": "GREEN"}]},
    "images": ["x.jpg"],
}
HUMAN = {
    "instruction": "i want a cotton shirt.",
    "instruction_attributes": ["cotton"],
    "instruction_options": ["red | blue"],
}


def row(number=1, **changes):
    """A row of the file of products; the number is in its asin."""
    return {**ROW, "asin": f"B{number:09d}", **changes}


def write_data(folder, rows, annotations=None, human=None, suffix="_1000"):
    """Write the three files; annotations and instructions default to some for every row."""
    folder.mkdir(parents=True, exist_ok=True)
    asins = [product["asin"] for product in rows if isinstance(product, dict) and isinstance(product.get("asin"), str)]
    annotations = {asin: {"attributes": ["cotton"]} for asin in asins} if annotations is None else annotations
    human = {asin: [HUMAN] for asin in asins} if human is None else human
    contents = {f"items_shuffle{suffix}": rows, f"items_ins_v2{suffix}": annotations, "items_human_ins": human}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
