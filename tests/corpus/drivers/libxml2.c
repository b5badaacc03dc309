// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parses documents as a tree, by SAX in pieces and by the reader; validates against DTD, XML Schema
 * and RelaxNG; asks XPath and XPointer; includes, canonicalises, writes and parses again; reads HTML. What
 * is not well-formed or not valid must be refused.
 */
#include <libxml/HTMLparser.h>
#include <libxml/HTMLtree.h>
#include <libxml/c14n.h>
#include <libxml/catalog.h>
#include <libxml/parser.h>
#include <libxml/pattern.h>
#include <libxml/relaxng.h>
#include <libxml/schematron.h>
#include <libxml/uri.h>
#include <libxml/xinclude.h>
#include <libxml/xmlregexp.h>
#include <libxml/xmlreader.h>
#include <libxml/xmlschemas.h>
#include <libxml/xmlwriter.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <libxml/xpointer.h>

#include "worker.h"

#define XML(text) ((const xmlChar *)(text))

static const char document[] =
        "<?xml version='1.0'?>\n<!DOCTYPE shop [<!ELEMENT shop (item*)><!ELEMENT item (name, price)>"
        "<!ELEMENT name (#PCDATA)><!ELEMENT price (#PCDATA)><!ATTLIST item id ID #REQUIRED ref IDREF "
        "#IMPLIED kind (a|b) 'a'><!ENTITY co 'Fish &amp; Sons'>]>\n"
        "<shop><item id='i1'><name>&co;</name><price>12.50</price></item>"
        "<item id='i2' ref='i1' kind='b'><name>Bread</name><price>3</price></item></shop>";

static const char schema_text[] =
        "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='shop'><xs:complexType>"
        "<xs:sequence><xs:element name='item' maxOccurs='unbounded'><xs:complexType><xs:sequence>"
        "<xs:element name='name' type='xs:string'/><xs:element name='price'><xs:simpleType>"
        "<xs:restriction base='xs:decimal'><xs:minInclusive value='1'/></xs:restriction></xs:simpleType>"
        "</xs:element></xs:sequence><xs:attribute name='id' type='xs:ID' use='required'/>"
        "<xs:attribute name='ref' type='xs:IDREF'/><xs:attribute name='kind'><xs:simpleType>"
        "<xs:restriction base='xs:string'><xs:pattern value='[ab]'/></xs:restriction></xs:simpleType>"
        "</xs:attribute></xs:complexType></xs:element></xs:sequence></xs:complexType>"
        "<xs:key name='k'><xs:selector xpath='item'/><xs:field xpath='@id'/></xs:key></xs:element></xs:schema>";

static const char relax_text[] =
        "<element name='shop' xmlns='http://relaxng.org/ns/structure/1.0' "
        "datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'><zeroOrMore><element name='item'>"
        "<attribute name='id'><data type='NCName'/></attribute><optional><attribute name='ref'/></optional>"
        "<optional><attribute name='kind'><choice><value>a</value><value>b</value></choice></attribute>"
        "</optional><element name='name'><text/></element><element name='price'><data type='decimal'/>"
        "</element></element></zeroOrMore></element>";

static void ignore(void *context, const char *text, ...)
{
        (void)context, (void)text;
}

static xmlDocPtr parse(const char *text, int options)
{
        return xmlReadMemory(text, (int)strlen(text), "memory.xml", NULL,
                             options | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET);
}

static void ask(xmlXPathContextPtr context, const char *question, const char *answer)
{
        xmlXPathObjectPtr object = xmlXPathEvalExpression(XML(question), context);
        xmlChar *text;

        MUST(object);
        text = xmlXPathCastToString(object);
        if (strcmp((char *)text, answer))
                fprintf(stderr, "%s gives %s\n", question, (char *)text);
        MUST(!strcmp((char *)text, answer));
        xmlFree(text);
        xmlXPathFreeObject(object);
}

static void trees(void)
{
        xmlDocPtr doc = parse(document, XML_PARSE_NOENT | XML_PARSE_DTDVALID | XML_PARSE_DTDATTR);
        xmlXPathContextPtr context;
        xmlXPathObjectPtr pointed;
        xmlChar *out = NULL;
        int size = 0;

        MUST(doc);
        MUST(xmlGetID(doc, XML("i2")));
        context = xmlXPathNewContext(doc);
        ask(context, "string(/shop/item[1]/name)", "Fish & Sons");
        ask(context, "sum(//price)", "15.5");
        ask(context, "count(//item[@kind='a' or position()=last()])", "2");
        ask(context, "name(id('i1')/following-sibling::*[1])", "item");
        ask(context, "translate(concat(substring-before('a-b','-'), normalize-space(' x  y ')),'a','z')", "zx y");
        ask(context, "count(//item/ancestor::* | //@id | //price/preceding-sibling::name)", "5");
        ask(context, "round(2.5) + floor(-1.5) + ceiling(0.2) + 7 mod 4 - 6 div 4", "3.5");
        MUST(!xmlXPathEvalExpression(XML("//["), context));
        xmlXPathFreeContext(context);
        context = xmlXPtrNewContext(doc, NULL, NULL);
        pointed = xmlXPtrEval(XML("xpointer(id('i2')/name)"), context);
        MUST(pointed && pointed->nodesetval && pointed->nodesetval->nodeNr == 1);
        xmlXPathFreeObject(pointed);
        pointed = xmlXPtrEval(XML("element(/1/2/1)"), context);
        MUST(pointed && pointed->nodesetval && pointed->nodesetval->nodeNr == 1);
        xmlXPathFreeObject(pointed);
        xmlXPathFreeContext(context);
        MUST(xmlC14NDocDumpMemory(doc, NULL, XML_C14N_1_0, NULL, 1, &out) > 0);
        MUST(strstr((char *)out, "<item id=\"i1\" kind=\"a\">") && strstr((char *)out, "Fish &amp; Sons"));
        xmlFree(out);
        xmlDocDumpFormatMemoryEnc(doc, &out, &size, "UTF-16", 1);
        xmlFreeDoc(doc);
        doc = xmlReadMemory((char *)out, size, NULL, NULL, XML_PARSE_NOERROR);
        MUST(doc && xmlChildElementCount(xmlDocGetRootElement(doc)) == 2);
        xmlFree(out);
        xmlFreeDoc(doc);
}

static void edit(void)
{
        xmlDocPtr doc = xmlNewDoc(XML("1.0")), copy;
        xmlNodePtr root = xmlNewNode(NULL, XML("r")), child;
        xmlNsPtr ns;
        xmlChar *out;
        int size;

        xmlDocSetRootElement(doc, root);
        ns = xmlNewNs(root, XML("urn:x"), XML("x"));
        for (int i = 0; i < 20; i++) {
                char number[8];

                snprintf(number, sizeof(number), "%d", i);
                child = xmlNewTextChild(root, i % 2 ? ns : NULL, XML("c"), XML("a<b&c"));
                xmlNewProp(child, XML("n"), XML(number));
        }
        xmlUnlinkNode(child);
        xmlFreeNode(child);
        MUST(xmlChildElementCount(root) == 19);
        copy = xmlCopyDoc(doc, 1);
        xmlFreeDoc(doc);
        MUST(!xmlReconciliateNs(copy, xmlDocGetRootElement(copy)) ||
             xmlChildElementCount(xmlDocGetRootElement(copy)) == 19);
        xmlDocDumpMemory(copy, &out, &size);
        MUST(strstr((char *)out, "<x:c n=\"17\">a&lt;b&amp;c</x:c>"));
        xmlFree(out);
        xmlFreeDoc(copy);
}

static unsigned int sax_elements;

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int n_ns, const xmlChar **ns, int n_attributes, int n_default, const xmlChar **attributes)
{
        (void)context, (void)prefix, (void)uri, (void)n_ns, (void)ns, (void)n_attributes, (void)n_default;
        (void)attributes;
        MUST(name[0]);
        sax_elements++;
}

static void pushes(size_t piece)
{
        xmlSAXHandler handler = { .initialized = XML_SAX2_MAGIC, .startElementNs = on_start };
        xmlParserCtxtPtr parser = xmlCreatePushParserCtxt(&handler, NULL, NULL, 0, NULL);
        size_t size = sizeof(document) - 1;

        sax_elements = 0;
        for (size_t at = 0; at < size; at += piece)
                MUST(!xmlParseChunk(parser, document + at, (int)(size - at < piece ? size - at : piece), 0));
        MUST(!xmlParseChunk(parser, NULL, 0, 1));
        MUST(sax_elements == 7);
        xmlFreeParserCtxt(parser);
}

static void reads(void)
{
        xmlTextReaderPtr reader = xmlReaderForMemory(document, sizeof(document) - 1, NULL, NULL,
                                                     XML_PARSE_NOENT | XML_PARSE_DTDATTR);
        unsigned int elements = 0, defaults = 0;
        int r;

        while ((r = xmlTextReaderRead(reader)) == 1) {
                if (xmlTextReaderNodeType(reader) != XML_READER_TYPE_ELEMENT)
                        continue;
                elements++;
                while (xmlTextReaderMoveToNextAttribute(reader) == 1)
                        defaults += (unsigned int)xmlTextReaderIsDefault(reader) +
                                    !strcmp((char *)xmlTextReaderConstName(reader), "kind");
        }
        MUST(!r && elements == 7 && defaults >= 2);
        xmlFreeTextReader(reader);
}

static void schemas(void)
{
        xmlSchemaParserCtxtPtr parser = xmlSchemaNewMemParserCtxt(schema_text, sizeof(schema_text) - 1);
        xmlSchemaPtr schema;
        xmlSchemaValidCtxtPtr valid;
        xmlDocPtr good = parse(document, XML_PARSE_NOENT | XML_PARSE_DTDATTR), bad;

        xmlSchemaSetParserErrors(parser, ignore, ignore, NULL);
        schema = xmlSchemaParse(parser);
        MUST(schema && good);
        valid = xmlSchemaNewValidCtxt(schema);
        xmlSchemaSetValidErrors(valid, ignore, ignore, NULL);
        MUST(xmlSchemaValidateDoc(valid, good) == 0);
        bad = parse("<shop><item id='a'><name/><price>0.5</price></item></shop>", 0);
        MUST(xmlSchemaValidateDoc(valid, bad) > 0);
        xmlFreeDoc(bad);
        bad = parse("<shop><item id='a'><price>5</price></item></shop>", 0);
        MUST(xmlSchemaValidateDoc(valid, bad) > 0);
        xmlFreeDoc(bad);
        xmlFreeDoc(good);
        xmlSchemaFreeValidCtxt(valid);
        xmlSchemaFree(schema);
        xmlSchemaFreeParserCtxt(parser);
}

static void relax(void)
{
        xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewMemParserCtxt(relax_text, sizeof(relax_text) - 1);
        xmlRelaxNGPtr schema = xmlRelaxNGParse(parser);
        xmlRelaxNGValidCtxtPtr valid;
        xmlDocPtr good = parse(document, XML_PARSE_NOENT), bad;

        MUST(schema);
        valid = xmlRelaxNGNewValidCtxt(schema);
        xmlRelaxNGSetValidErrors(valid, ignore, ignore, NULL);
        MUST(xmlRelaxNGValidateDoc(valid, good) == 0);
        bad = parse("<shop><item id='a'><name/><price>dear</price></item></shop>", 0);
        MUST(xmlRelaxNGValidateDoc(valid, bad) != 0);
        xmlFreeDoc(bad);
        xmlFreeDoc(good);
        xmlRelaxNGFreeValidCtxt(valid);
        xmlRelaxNGFree(schema);
        xmlRelaxNGFreeParserCtxt(parser);
}

static void includes(void)
{
        xmlDocPtr doc = parse("<r xmlns:x='http://www.w3.org/2001/XInclude'><x:include href='part.txt' "
                              "parse='text'/><x:include href='part.xml' xpointer=\"xpointer(//b)\"/>"
                              "<x:include href='none.xml'><x:fallback>gone</x:fallback></x:include></r>", 0);
        xmlChar *text;

        MUST(xmlXIncludeProcessFlags(doc, XML_PARSE_NOERROR | XML_PARSE_NOWARNING) == 3);
        text = xmlNodeGetContent(xmlDocGetRootElement(doc));
        MUST(!strcmp((char *)text, "textboldgone"));
        xmlFree(text);
        xmlFreeDoc(doc);
}

static void html(void)
{
        htmlDocPtr doc = htmlReadDoc(XML("<title>T</title><p class=a>one<br>two<p>three &eacute;<img src=x>"
                                         "<script>if (a<b) {}</script><table><tr><td>x"), NULL, "UTF-8",
                                     HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);
        xmlXPathContextPtr context = xmlXPathNewContext(doc);
        xmlChar *out;
        int size;

        ask(context, "count(//p)", "2");
        ask(context, "string(//p[2])", "three \xc3\xa9if (a<b) {}");
        htmlDocDumpMemory(doc, &out, &size);
        MUST(strstr((char *)out, "<p class=\"a\">one<br>two</p>"));
        xmlFree(out);
        xmlXPathFreeContext(context);
        xmlFreeDoc(doc);
}

static void small_parts(void)
{
        xmlURIPtr uri = xmlParseURI("http://me@host:80/a/../b?q#f");
        xmlChar *built = xmlBuildURI(XML("../c"), XML("http://host/a/b/d"));
        xmlRegexpPtr pattern = xmlRegexpCompile(XML("(a|bc){2,3}\\d+"));
        xmlBufferPtr buffer = xmlBufferCreate();
        xmlTextWriterPtr writer = xmlNewTextWriterMemory(buffer, 0);

        MUST(uri && uri->port == 80 && !strcmp(uri->server, "host"));
        xmlFreeURI(uri);
        MUST(!strcmp((char *)built, "http://host/a/c"));
        xmlFree(built);
        MUST(xmlRegexpExec(pattern, XML("abc12")) == 1 && xmlRegexpExec(pattern, XML("a1")) == 0);
        xmlRegFreeRegexp(pattern);
        xmlTextWriterStartDocument(writer, NULL, "UTF-8", NULL);
        xmlTextWriterStartElement(writer, XML("e"));
        xmlTextWriterWriteAttribute(writer, XML("a"), XML("\"<\n"));
        xmlTextWriterWriteBase64(writer, "abcdef", 0, 6);
        xmlTextWriterEndDocument(writer);
        xmlFreeTextWriter(writer);
        MUST(strstr((char *)xmlBufferContent(buffer), "<e a=\"&quot;&lt;&#10;\">YWJjZGVm</e>"));
        xmlBufferFree(buffer);
}

static void refuse(void)
{
        static const char *const bad[] = { "<a>", "<a></b>", "<a b=1/>", "<!DOCTYPE a [<!ENTITY e '&e;'>]><a>&e;</a>",
                                           "<a>&nothing;</a>", "<a x='1' x='2'/>", "\xff\xfe<", "<?xml version='1.0' encoding='none'?><a/>" };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                xmlDocPtr doc = parse(bad[i], XML_PARSE_NOENT);

                MUST(!doc);
        }
}

static void file(const char *name, const char *text)
{
        FILE *stream = fopen(name, "w");

        MUST(stream && fputs(text, stream) >= 0);
        fclose(stream);
}

int main(void)
{
        xmlSetGenericErrorFunc(NULL, ignore);
        xmlSetStructuredErrorFunc(NULL, NULL);
        file("part.txt", "text");
        file("part.xml", "<a>x<b>bold</b></a>");
        for (;;) {
                trees();
                edit();
                pushes(1);
                pushes(50);
                reads();
                schemas();
                worker_ok();
                relax();
                includes();
                html();
                small_parts();
                refuse();
                worker_ok();
        }
}
