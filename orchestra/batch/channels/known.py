"""Which column of which shop's file holds which attribute of a product.

Names are compared without regard to case. Of several the first that the row fills counts. Shopify
renamed its columns in 2025; both spellings are known. What is told apart here (the whole product,
or one variant of it) is where a column's cell stands in a product of several rows.
"""

from __future__ import annotations

from collections.abc import Mapping

Names = Mapping[str, tuple[str, ...]]

# help.shopify.com/en/manual/products/import-export/using-csv
SHOPIFY_PRODUCT: Names = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "description"),
    "brand": ("vendor",),
    "category": ("product category",),
    "google_category": (
        "google shopping / google product category",
        "product category",
    ),
    "product_type": ("type",),
    "material": ("material (product.metafields.shopify.material)",),
    "colour": ("color (product.metafields.shopify.color-pattern)",),
    "gender": ("google shopping / gender",),
    "age_group": ("google shopping / age group",),
    "condition": ("google shopping / condition",),
    "mpn": ("google shopping / mpn", "google shopping / manufacturer part number (mpn)"),
}
SHOPIFY_VARIANT: Names = {
    "sku": ("variant sku", "sku"),
    "price": ("variant price", "price"),
    "compare_price": ("variant compare at price", "compare-at price"),
    "gtin": ("variant barcode", "barcode"),
    "quantity": ("variant inventory qty", "inventory quantity"),
    "backorders": ("variant inventory policy", "continue selling when out of stock"),
    "photo": ("variant image", "variant image url"),
}
# github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema
WOOCOMMERCE_PRODUCT: Names = {
    "title": ("name",),
    "description": ("description", "short description"),
    "brand": ("brands", "brand"),
    "category": ("categories",),
    "product_type": ("categories",),
}
WOOCOMMERCE_VARIANT: Names = {
    "sku": ("sku",),
    "price": ("regular price",),
    "sale_price": ("sale price",),
    "gtin": ("gtin, upc, ean, or isbn", "meta: _global_unique_id"),
    "quantity": ("stock",),
    "in_stock": ("in stock?",),
    "photo": ("images",),
}
# support.google.com/merchants/answer/7052112, developers.openai.com/commerce/specs/feed, Amazon's
# templates, and the names that tables without a shop's form use.
PLAIN: Names = {
    "handle": ("handle", "slug"),
    "title": ("title", "name", "product name", "item_name", "名称", "商品名称"),
    "description": ("description", "product_description", "描述", "商品描述"),
    "brand": ("brand", "vendor", "brand_name", "品牌"),
    "category": ("product_category", "category", "categories", "类目"),
    "google_category": ("google_product_category", "google product category"),
    "product_type": ("product_type", "product type"),
    "link": ("link", "url", "product url", "product_url"),
    "material": ("material", "material_type", "材质"),
    "colour": ("color", "colour", "color_name", "颜色"),
    "size": ("size", "size_name", "尺码"),
    "pattern": ("pattern",),
    "gender": ("gender",),
    "age_group": ("age_group", "age group"),
    "condition": ("condition",),
    "mpn": ("mpn",),
    "gtin": ("gtin", "barcode", "ean", "upc", "gtin13", "external_product_id", "条码"),
    "sku": ("sku", "item_sku", "item_id", "id", "编号"),
    "is_eligible_search": ("is_eligible_search", "enable_search"),
    "is_eligible_checkout": ("is_eligible_checkout", "enable_checkout"),
    "price": ("price", "standard_price", "价格"),
    "sale_price": ("sale_price", "sale price"),
    "availability": ("availability",),
    "availability_date": ("availability_date", "availability date"),
    "quantity": ("inventory_quantity", "quantity", "stock", "库存"),
    "group": ("item_group_id", "group_id", "item group id"),
    "weight": ("weight", "shipping_weight"),
}
# Fields of a recipe that hold what an attribute wants, where the table has nothing.
FIELDS: Names = {
    "brand": ("brand",),
    "category": ("category",),
    "google_category": ("google_category", "google_product_category"),
    "product_type": ("product_type", "category"),
    "material": ("material",),
    "colour": ("colour", "color"),
    "size": ("size",),
    "pattern": ("pattern",),
    "gender": ("gender",),
    "age_group": ("age_group",),
}
# What shops call the options that channels have an attribute for.
OPTIONS: Names = {
    "colour": ("color", "colour", "颜色", "farbe", "couleur"),
    "size": ("size", "尺码", "尺寸", "größe", "taille"),
    "material": ("material", "材质", "matériau"),
    "pattern": ("pattern", "图案", "muster", "motif"),
}
