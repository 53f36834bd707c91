"""The common model that ships with Farr: catalogues, mappings and views, as files; docs/model.md explains them."""
