"""MS-COCO."""
