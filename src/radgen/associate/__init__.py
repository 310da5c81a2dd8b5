"""Floor 8: associations of images with genes."""

from radgen.associate.result import AssociationResult
from radgen.associate.scan import scan

__all__ = ["AssociationResult", "scan"]
